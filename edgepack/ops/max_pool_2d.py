"""MAX_POOL_2D: the largest of the window's elements inside the input."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.pool import Pool2D
from edgepack.types import Array


class MaxPool2D(Pool2D):
    """No requantization (input and output scales are equal)."""

    name = "MAX_POOL_2D"
    kernel = "ep_max_pool"
    variants = ("mve",)

    def reduce(self, windows: Array, inside: Array) -> Array:
        if windows.dtype == np.float32:
            lowest: float | int = float(np.finfo(np.float32).min)
        else:
            lowest = -32768
        return np.asarray(np.where(inside, windows, lowest).max(axis=(3, 4)))
