"""EXP: e to the power of each element."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, float_table
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType

_exp = in_double(np.exp)


class Exp(Unary):
    """int8 follows LiteRT's table, except that results beyond int32 saturate."""

    name = "EXP"
    types = (DType.INT8, DType.FLOAT32)
    kernel = "ep_exp"
    notes = "int8 as in LiteRT (TFLM has float only)"

    def apply(self, view: NodeView, x: Array) -> Array:
        return _exp(x) if x.dtype == np.float32 else float_table(view, x, _exp)
