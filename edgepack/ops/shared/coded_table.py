"""Indices into the few values that weights have (EP_CODED_TABLE of firmware/kernels/ep_coded.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.types import Array

_WIDTHS = (1, 2, 4)


def encode_table(values: npt.NDArray[np.uint8]) -> tuple[Array, Array, dict[str, int]] | None:
    """Indices, values and fields of ep_coded; None for more than 16 different values."""
    book, indices = np.unique(values, return_inverse=True)
    bits = next((b for b in _WIDTHS if len(book) <= 1 << b), None)
    if bits is None:
        return None
    per_byte = 8 // bits
    padded = np.pad(indices.reshape(-1), (0, -len(indices) % per_byte)).reshape(-1, per_byte)
    packed = (padded << (bits * np.arange(per_byte))).sum(axis=1)
    return packed.astype(np.uint8), book.astype(np.uint8), {"bits": bits, "fill": 0}
