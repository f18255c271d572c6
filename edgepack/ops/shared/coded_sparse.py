"""Weights of which most have one value (EP_CODED_SPARSE of firmware/kernels/ep_coded.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.types import Array


def encode_sparse(values: npt.NDArray[np.uint8]) -> tuple[Array, Array, dict[str, int]] | None:
    """The other values, a bit for each weight, and fields of ep_coded."""
    fill = int(np.bincount(values).argmax())
    other = values != fill
    kept = values[other] if other.any() else np.zeros(1, np.uint8)
    return kept, np.packbits(other, bitorder="little"), {"bits": 0, "fill": fill}
