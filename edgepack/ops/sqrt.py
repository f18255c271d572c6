"""SQRT: square root, NaN for negative floats."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.ops.shared.fixed_point import INTEGER_RANGE
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType


class Sqrt(Unary):
    """int8 roots are cut to whole steps of the output's scale, not rounded, as in LiteRT."""

    name = "SQRT"
    types = (DType.INT8, DType.FLOAT32)
    kernel = "ep_sqrt"
    notes = "int8 as in LiteRT (TFLM has float only); negative int8 numbers count as 0"

    def apply(self, view: NodeView, x: Array) -> Array:
        source, out = view.input(0), view.output()
        if out.dtype is DType.FLOAT32:
            return in_double(np.sqrt)(x)
        # float32 throughout: where the root is a whole number of steps, its rounding decides
        above = np.maximum(x.astype(np.int64) - source.zero_point, 0).astype(np.float32)
        steps = np.sqrt(np.float32(source.scale) * above) / np.float32(out.scale)
        return np.asarray((steps.astype(np.int64) + out.zero_point).clip(*INTEGER_RANGE[out.dtype]))
