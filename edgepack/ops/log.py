"""LOG: the natural logarithm."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, float_table
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType

_log = in_double(np.log)


class Log(Unary):
    """int8 follows LiteRT's table: numbers up to 0 give the lowest output."""

    name = "LOG"
    types = (DType.INT8, DType.FLOAT32)
    kernel = "ep_log"
    notes = "int8 as in LiteRT (TFLM has float only)"

    def apply(self, view: NodeView, x: Array) -> Array:
        return _log(x) if x.dtype == np.float32 else float_table(view, x, _log)
