"""TANH: hyperbolic tangent."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.float_math import in_double
from edgepack.ops.shared.gemmlowp import tanh
from edgepack.ops.shared.sigmoid import SigmoidOp, input_scale, tanh_q15
from edgepack.types import Array, DType


class Tanh(SigmoidOp):
    """int8: scale 1/128, zero point 0; int16: scale 2**-15; as TFLite prescribes."""

    name = "TANH"
    kernel = "ep_tanh"
    output_fraction = 7
    output_zero_point = 0
    largest_power = 1

    def apply(self, view: NodeView, x: Array) -> Array:
        out = view.output()
        if out.dtype is DType.FLOAT32:
            return in_double(np.tanh)(x)
        if out.dtype is DType.INT8:
            return self.apply_int8(view, x, tanh)
        scaled = input_scale(view.input(0).scale, self.largest_power).apply(x)
        return tanh_q15(scaled)
