"""RELU and RELU_N1_TO_1 as operators of their own: requantize, then clamp."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, table_call, unary_call
from edgepack.ops.shared.fixed_point import (
    FLOAT_ACTIVATION_RANGE,
    INTEGER_RANGE,
    Multiplier,
    activation_range,
    quantize_multiplier,
    requantize,
)
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.types import Array, DType


class ClampOp(Unary):
    """Base: `activation` names the range, as the fused activations do."""

    header = "ep_activation.h"
    activation: ClassVar[str]

    def apply(self, view: NodeView, x: Array) -> Array:
        source, out = view.input(0), view.output()
        if out.dtype is DType.FLOAT32:
            low, high = FLOAT_ACTIVATION_RANGE[self.activation]
            bounded = np.where(x < low, np.float32(low), x)
            if self.activation == "RELU":  # has no upper bound: infinity stays
                return bounded
            return np.where(x > high, np.float32(high), bounded)
        factor = self._factor(view)
        wide = x.astype(np.int64) - source.zero_point
        scaled = requantize(wide, factor.value, factor.shift) + out.zero_point
        return np.clip(scaled, *self._range(view))

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        source, out = view.input(0), view.output()
        if out.dtype is DType.FLOAT32:
            return self.lower_wide(view)
        if (source.scale, source.zero_point) == (out.scale, out.zero_point):
            low, high = self._range(view)
            return clamp_call(view, low, high)
        if out.dtype is DType.INT8:
            return table_call(view, self.apply)
        return self._requantize_call(view)

    def lower_wide(self, view: NodeView) -> Lowered:
        return clamp_call(view, *FLOAT_ACTIVATION_RANGE[self.activation])

    def _requantize_call(self, view: NodeView) -> Lowered:
        source, out = view.input(0), view.output()
        factor = self._factor(view)
        low, high = self._range(view)
        fields = (
            ("input_offset", -source.zero_point),
            ("output_offset", out.zero_point),
            ("multiplier", factor.value),
            ("shift", factor.shift),
            ("act_min", low),
            ("act_max", high),
        )
        return unary_call(
            view, "ep_requantize_s16_s16", "ep_quantize.h", "ep_requantize_params", fields
        )

    def _factor(self, view: NodeView) -> Multiplier:
        """The ratio of the scales in float64, as TFLM's interpreter has it (LiteRT: float32)."""
        return quantize_multiplier(view.input(0).scale / view.output().scale)

    def _range(self, view: NodeView) -> tuple[int, int]:
        out = view.output()
        low, high = activation_range(self.activation, out.dtype, out.scale, out.zero_point)
        if self.activation == "RELU":
            high = INTEGER_RANGE[out.dtype][1]
        return low, high


def clamp_call(view: NodeView, low: float, high: float) -> Lowered:
    """Clamp to [low, high] without rescaling; the bounds are in the tensor's own numbers."""
    dtype = view.output().dtype
    params = "ep_clamp_f32_params" if dtype is DType.FLOAT32 else "ep_clamp_params"
    fields = (("act_min", low), ("act_max", high))
    return unary_call(view, f"ep_clamp_{dtype.suffix}", "ep_activation.h", params, fields)
