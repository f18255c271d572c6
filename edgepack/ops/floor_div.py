"""FLOOR_DIV: the largest integer that is not greater than a / b."""

from __future__ import annotations

import numpy as np

from edgepack.ops.div import divide_int32
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Binary
from edgepack.types import Array, DType


class FloorDiv(Binary):
    """Float quotients are taken in double precision."""

    name = "FLOOR_DIV"
    types = (DType.INT32, DType.FLOAT32)
    kernel = "ep_floor_div"
    notes = (
        "INT32 as in LiteRT; x / 0 is infinite or NaN, for integers saturated, where TFLM and "
        "LiteRT stop with an error"
    )

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        if view.output().dtype is DType.FLOAT32:
            return np.floor(a.astype(np.float64) / b).astype(np.float32)
        quotient = divide_int32(a, b)
        divisor = np.where(np.isin(b, (0, -1)), 1, b).astype(np.int64)
        inexact = (a.astype(np.int64) % divisor != 0) & ((a < 0) != (b < 0))
        return np.asarray(quotient - inexact)
