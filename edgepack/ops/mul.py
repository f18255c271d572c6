"""MUL of two broadcast operands, with a fused activation."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Fields, FusedBinary
from edgepack.ops.shared.fixed_point import (
    Multiplier,
    quantize_multiplier,
    requantize,
    wrap_int32,
)
from edgepack.types import Array, DType


class Mul(FusedBinary):
    """Quantized products are requantized once; int32 wraps."""

    name = "MUL"
    types = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    kernel = "ep_mul"

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        out = view.output()
        low, high = self.limits(view)
        if out.dtype is DType.FLOAT32:
            return np.asarray(np.clip(a * b, np.float32(low), np.float32(high)))
        wide_a = a.astype(np.int64) - view.input(0).zero_point
        product = wrap_int32(wide_a * (b.astype(np.int64) - view.input(1).zero_point))
        if out.dtype is DType.INT32:
            return np.asarray(np.clip(product, int(low), int(high)))
        factor = self._factor(view)
        result = requantize(product, factor.value, factor.shift) + out.zero_point
        return np.asarray(np.clip(result, int(low), int(high)))

    def quantized_params(self, view: NodeView) -> tuple[str, Fields]:
        factor = self._factor(view)
        return "ep_mul_params", (
            ("offset1", -view.input(0).zero_point),
            ("offset2", -view.input(1).zero_point),
            ("output_offset", view.output().zero_point),
            ("multiplier", factor.value),
            ("shift", factor.shift),
        )

    def _factor(self, view: NodeView) -> Multiplier:
        a, b, out = view.input(0), view.input(1), view.output()
        return quantize_multiplier(a.scale * b.scale / out.scale)
