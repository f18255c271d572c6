"""RSQRT: 1 / sqrt(x)."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.ops.shared.fixed_point import INTEGER_RANGE, quantize_multiplier, requantize
from edgepack.ops.shared.float_math import in_double
from edgepack.ops.shared.inverse_sqrt import inverse_sqrt_multiplier
from edgepack.types import Array, DType

_SHIFT = 20  # fractional bits that keep the reciprocal an integer


class Rsqrt(Unary):
    """int8: 0 and below give the largest output."""

    name = "RSQRT"
    types = (DType.INT8, DType.FLOAT32)
    kernel = "ep_rsqrt"
    notes = "int8 inputs below 0 give 127, where TFLM stops with an error"

    def apply(self, view: NodeView, x: Array) -> Array:
        source, out = view.input(0), view.output()
        if out.dtype is DType.FLOAT32:
            return in_double(lambda v: 1 / np.sqrt(v))(x)
        low, high = INTEGER_RANGE[out.dtype]
        root = np.sqrt(np.float32(source.scale)) * np.float32(out.scale)
        factor = quantize_multiplier(1.0 / float(root))
        result = np.full(x.shape, high, np.int64)
        for index, value in np.ndenumerate(x.astype(np.int64) - source.zero_point):
            if value > 0:
                inverse = inverse_sqrt_multiplier(int(value))
                fixed = requantize(1, inverse.value, inverse.shift + _SHIFT)
                result[index] = requantize(fixed, factor.value, factor.shift - _SHIFT)
                result[index] = np.clip(result[index] + out.zero_point, low, high)
        return result
