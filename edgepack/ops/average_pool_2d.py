"""AVERAGE_POOL_2D: the mean over the window's elements inside the input."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.pool import Pool2D
from edgepack.types import Array


class AveragePool2D(Pool2D):
    """Integers round to nearest, halves away from zero; no requantization (equal scales)."""

    name = "AVERAGE_POOL_2D"
    kernel = "ep_average_pool"
    variants = ("mve",)

    def reduce(self, windows: Array, inside: Array) -> Array:
        total = windows.sum(axis=(3, 4))
        count = inside.sum(axis=(3, 4))
        if windows.dtype == np.float32:
            return np.asarray(total / count.astype(np.float32))
        rounded = (np.abs(total) + count // 2) // count
        return np.asarray(np.sign(total) * rounded)
