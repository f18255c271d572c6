"""NEG: the opposite of each element."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.types import Array, DType


class Neg(Unary):
    """Integers wrap: the opposite of the lowest integer is itself."""

    name = "NEG"
    types = (DType.INT32, DType.INT64, DType.FLOAT32)
    kernel = "ep_neg"
    notes = "int32 and int64 as in LiteRT (TFLM has float only)"

    def apply(self, view: NodeView, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.negative(x)
