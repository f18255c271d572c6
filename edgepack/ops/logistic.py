"""LOGISTIC: 1 / (1 + exp(-x))."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.float_math import in_double
from edgepack.ops.shared.gemmlowp import logistic
from edgepack.ops.shared.sigmoid import SigmoidOp, input_scale, logistic_q15
from edgepack.types import Array, DType


class Logistic(SigmoidOp):
    """int8: scale 1/256, zero point -128; int16: scale 2**-15; as TFLite prescribes."""

    name = "LOGISTIC"
    kernel = "ep_logistic"
    output_fraction = 8
    output_zero_point = -128
    largest_power = 0

    def apply(self, view: NodeView, x: Array) -> Array:
        out = view.output()
        if out.dtype is DType.FLOAT32:
            return in_double(lambda v: 1 / (1 + np.exp(-v)))(x)
        if out.dtype is DType.INT8:
            return self.apply_int8(view, x, logistic)
        scaled = input_scale(view.input(0).scale, self.largest_power).apply(x)
        return logistic_q15(scaled)
