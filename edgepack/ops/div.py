"""DIV of two broadcast operands, with a fused activation."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Fields, FusedBinary
from edgepack.ops.shared.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Multiplier,
    doubling_high_mul,
    quantize_multiplier,
    rounding_divide_by_pot,
    wrap_int32,
)
from edgepack.ops.shared.gemmlowp import one_over_one_plus_x
from edgepack.types import Array, DType


class Div(FusedBinary):
    """int32 is cut towards zero; int8 multiplies by a fixed-point reciprocal."""

    name = "DIV"
    types = (DType.INT8, DType.INT32, DType.FLOAT32)
    kernel = "ep_div"
    notes = (
        "integers: x / 0 saturates and 0 / 0 is 0 (undefined in TFLM); int8 quotients that TFLM "
        "shifts by more than 31 bits (undefined there) are 0"
    )

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        out = view.output()
        low, high = self.limits(view)
        if out.dtype is DType.FLOAT32:
            return np.clip(a / b, np.float32(low), np.float32(high))
        if out.dtype is DType.INT32:
            return np.clip(divide_int32(a, b), int(low), int(high))
        first, second = np.broadcast_arrays(
            a.astype(np.int64) - view.input(0).zero_point,
            b.astype(np.int64) - view.input(1).zero_point,
        )
        quotient = _divide_scaled(first * np.sign(second), np.abs(second), self._factor(view))
        beyond = 1 << 24  # far outside every clamp
        by_zero = np.sign(first) * beyond
        result = np.where(second == 0, by_zero, np.clip(quotient, -beyond, beyond))
        return np.asarray(np.clip(result + out.zero_point, int(low), int(high)))

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
        return quantize_multiplier(a.scale / (b.scale * out.scale))


def divide_int32(a: Array, b: Array) -> Array:
    """int32 quotients cut towards zero; x / 0 saturates, 0 / 0 is 0, INT32_MIN / -1 wraps."""
    wide_a, wide_b = np.broadcast_arrays(a.astype(np.int64), b.astype(np.int64))
    divisor = np.where(wide_b == 0, 1, wide_b)
    size = np.abs(wide_a) // np.abs(divisor)
    quotient = wrap_int32(size * np.sign(wide_a) * np.sign(divisor))
    ends = np.where(wide_a > 0, INT32_MAX, np.where(wide_a < 0, INT32_MIN, 0))
    return np.where(wide_b == 0, ends, quotient)


def _divide_scaled(a: Array, b: Array, factor: Multiplier) -> Array:
    """a / b * factor with TFLite's rounding, |a| < 256, 0 <= b < 256; 0 / 0 is any value."""
    divisors = np.arange(1, 256)
    bits = np.array([0] + [int(d).bit_length() for d in divisors])
    inverse = np.append(0, one_over_one_plus_x((divisors << (32 - bits[1:])) - (1 << 31)))
    headroom = 31 - bits[np.where(a >= 0, a, ~a)]
    quotient = doubling_high_mul(a << headroom, inverse[b])
    scaled = doubling_high_mul(quotient, factor.value)
    right = bits[b] - 1 + headroom - factor.shift
    rounded = rounding_divide_by_pot(scaled, np.clip(right, 0, 31))
    shifted = np.clip(scaled << np.clip(-right, 0, 31), INT32_MIN, INT32_MAX)
    return np.where(right < 0, shifted, np.where(right <= 31, rounded, 0))
