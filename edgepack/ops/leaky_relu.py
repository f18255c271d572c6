"""LEAKY_RELU: a slope of its own for negative numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, unary_call
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    quantize_multiplier,
    requantize,
)
from edgepack.ops.shared.kernel import Lowered
from edgepack.types import Array, DType


@dataclass(frozen=True)
class LeakyReluAttributes(Attributes):
    """`alpha`: the slope for negative inputs, a float32 value of any sign."""

    alpha: float = 0.0


class LeakyRelu(Unary):
    """x from zero on, alpha * x below, each with a multiplier of its own."""

    name = "LEAKY_RELU"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)

    def attributes(self, options: Any) -> Attributes:
        return LeakyReluAttributes() if options is None else LeakyReluAttributes(options.alpha)

    def apply(self, view: NodeView, x: Array) -> Array:
        out, alpha = view.output(), self._alpha(view)
        if out.dtype is DType.FLOAT32:
            return np.where(x > 0, x, x * np.float32(alpha))
        positive, negative = self._factors(view)
        wide = x.astype(np.int64) - view.input(0).zero_point
        below = requantize(wide, negative.value, negative.shift)
        if alpha < 0:
            below = -below
        above = requantize(wide, positive.value, positive.shift)
        result: Array = np.where(wide >= 0, above, below) + out.zero_point
        return result.clip(*INTEGER_RANGE[out.dtype])

    def lower_wide(self, view: NodeView) -> Lowered:
        alpha = self._alpha(view)
        if view.output().dtype is DType.FLOAT32:
            return unary_call(
                view,
                "ep_leaky_relu_f32",
                "ep_activation.h",
                "ep_leaky_relu_f32_params",
                (("alpha", alpha),),
            )
        positive, negative = self._factors(view)
        fields = (
            ("input_offset", -view.input(0).zero_point),
            ("output_offset", view.output().zero_point),
            ("multiplier", positive.value),
            ("shift", positive.shift),
            ("alpha_multiplier", negative.value),
            ("alpha_shift", negative.shift),
            ("alpha_negative", alpha < 0),
        )
        return unary_call(
            view, "ep_leaky_relu_s16", "ep_activation.h", "ep_leaky_relu_params", fields
        )

    def _factors(self, view: NodeView) -> tuple[Multiplier, Multiplier]:
        """Multipliers for numbers from zero on and (the slope's size) below.

        TFLM's interpreter computes them in float64, LiteRT in float32.
        """
        source, out = view.input(0).scale, view.output().scale
        slope = source * float(np.float32(abs(self._alpha(view)))) / out
        return quantize_multiplier(source / out), quantize_multiplier(slope)

    def _alpha(self, view: NodeView) -> float:
        assert isinstance(view.node.attrs, LeakyReluAttributes)
        return view.node.attrs.alpha
