"""Packed 4-bit weights: two to a byte, as the .tflite file holds them and ep_int4.h reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.types import Array


def pack_int4(values: Array) -> npt.NDArray[np.uint8]:
    """int8 values -8..7 in memory order, the first of each pair in the low nibble.

    An odd last element leaves the high nibble of its byte 0.
    """
    nibbles = values.reshape(-1).astype(np.int8).view(np.uint8) & 0xF
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    return np.asarray(nibbles[0::2] | (nibbles[1::2] << 4), np.uint8)
