"""L2_POOL_2D: the root of the mean square over the window's elements inside the input."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.pool import Pool2D
from edgepack.types import Array, DType


class L2Pool2D(Pool2D):
    """float32 only, as in TFLM and LiteRT."""

    name = "L2_POOL_2D"
    types = (DType.FLOAT32,)
    kernel = "ep_l2_pool"

    def reduce(self, windows: Array, inside: Array) -> Array:
        squares = (windows * windows).sum(axis=(3, 4))
        return np.asarray(np.sqrt(squares / inside.sum(axis=(3, 4)).astype(np.float32)))
