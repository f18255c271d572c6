"""LOGISTIC: 1 / (1 + exp(-x))."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.float_math import in_double
from edgepack.ops.shared.gemmlowp import logistic
from edgepack.ops.shared.sigmoid import SigmoidOp, input_scale, sigmoid_table
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
        size, table = np.abs(scaled), sigmoid_table().astype(np.int64)
        at = np.minimum(size >> 9, 254)
        between = (table[at] << 9) + (size & 0x1FF) * (table[at + 1] - table[at])
        y = np.where(size >> 9 >= 255, 0x7FFF << 10, between)
        return np.where(scaled >= 0, y + (1 << 9), (1 << 25) - y + (1 << 9) - 1) >> 10
