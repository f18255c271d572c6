"""SUB of two broadcast operands, with a fused activation."""

from __future__ import annotations

import numpy as np

from edgepack.ops.add import Rescale
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Fields, FusedBinary
from edgepack.ops.shared.fixed_point import (
    Multiplier,
    quantize_multiplier,
    requantize,
    wrap_int32,
)
from edgepack.types import Array, DType

_LEFT_SHIFT = {DType.INT8: 20, DType.INT16: 15}  # headroom that TFLite gives the common scale


class Sub(FusedBinary):
    """Integers are subtracted at twice the larger scale; int32 wraps."""

    name = "SUB"
    types = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    kernel = "ep_sub"

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        out = view.output()
        low, high = self.limits(view)
        if out.dtype is DType.FLOAT32:
            return np.asarray(np.clip(a - b, np.float32(low), np.float32(high)))
        if out.dtype is DType.INT32:
            return wrap_int32(a.astype(np.int64) - b).clip(int(low), int(high))
        scale = self._rescale(view)

        def common(x: Array, slot: int, factor: Multiplier) -> Array:
            shifted = (x.astype(np.int64) - view.input(slot).zero_point) << scale.left_shift
            return requantize(shifted, factor.value, factor.shift)

        difference = common(a, 0, scale.first) - common(b, 1, scale.second)
        result = requantize(difference, scale.output.value, scale.output.shift) + out.zero_point
        return np.asarray(np.clip(result, int(low), int(high)))

    def quantized_params(self, view: NodeView) -> tuple[str, Fields]:
        scale = self._rescale(view)
        return "ep_add_params", (
            ("offset1", -view.input(0).zero_point),
            ("offset2", -view.input(1).zero_point),
            ("output_offset", view.output().zero_point),
            ("left_shift", scale.left_shift),
            ("multiplier1", scale.first.value),
            ("shift1", scale.first.shift),
            ("multiplier2", scale.second.value),
            ("shift2", scale.second.shift),
            ("multiplier", scale.output.value),
            ("shift", scale.output.shift),
        )

    def _rescale(self, view: NodeView) -> Rescale:
        """As ADD's; in float64, as TFLM's interpreter computes them (LiteRT: float32)."""
        out = view.output()
        first, second = view.input(0).scale, view.input(1).scale
        left_shift = _LEFT_SHIFT[out.dtype]
        common = 2.0 * max(first, second)
        return Rescale(
            quantize_multiplier(first / common),
            quantize_multiplier(second / common),
            quantize_multiplier(common / ((1 << left_shift) * out.scale)),
            left_shift,
        )
