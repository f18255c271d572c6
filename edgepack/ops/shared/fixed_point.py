"""TFLite Micro's fixed-point arithmetic in numpy, bit for bit.

The requantization rounds twice: SaturatingRoundingDoublingHighMul, then a rounding division by a
power of two (gemmlowp's fixedpoint; TFLM is built without TFLITE_SINGLE_ROUNDING). firmware's
ep_fixed.h is the same in C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepack.types import Array, DType

I64 = npt.NDArray[np.int64]
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1

INTEGER_RANGE = {
    DType.INT8: (-128, 127),
    DType.INT16: (-32768, 32767),
    DType.UINT8: (0, 255),
    DType.INT32: (INT32_MIN, INT32_MAX),
}


@dataclass(frozen=True)
class Multiplier:
    """A real factor as `value * 2**(shift - 31)`, value in [2**30, 2**31) or 0."""

    value: int
    shift: int


def quantize_multiplier(real: float) -> Multiplier:
    """Split a non-negative real factor (float64) the way TFLite does.

    Factors below about 2**-32 become 0 (TFLite flushes shifts below -31).
    """
    if real == 0.0:
        return Multiplier(0, 0)
    mantissa, shift = math.frexp(real)
    value = round_half_away(mantissa * (1 << 31))
    if value == 1 << 31:
        value >>= 1
        shift += 1
    if shift < -31:
        return Multiplier(0, 0)
    return Multiplier(value, shift)


def round_half_away(x: float) -> int:
    """C's round(): halves away from zero."""
    return int(math.floor(abs(x) + 0.5)) * (-1 if x < 0 else 1)


def doubling_high_mul(a: npt.ArrayLike, b: npt.ArrayLike) -> I64:
    """SaturatingRoundingDoublingHighMul of int32 values: (a * b * 2 + 2**31) >> 32, saturated."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    total = product + nudge
    # C's integer division truncates towards zero.
    result = np.where(total >= 0, total >> 31, -((-total) >> 31))
    return np.asarray(np.minimum(result, INT32_MAX), np.int64)


def rounding_divide_by_pot(x: npt.ArrayLike, exponent: npt.ArrayLike) -> I64:
    """x / 2**exponent, halves away from zero; exponent in 0..31."""
    x64 = np.asarray(x, np.int64)
    e64 = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << e64) - 1
    remainder = x64 & mask
    threshold = (mask >> 1) + (x64 < 0)
    return np.asarray((x64 >> e64) + (remainder > threshold), np.int64)


def wrap_int32(x: npt.ArrayLike) -> I64:
    """The value that a 32-bit two's complement register would hold."""
    return ((np.asarray(x, np.int64) + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def requantize(x: npt.ArrayLike, value: npt.ArrayLike, shift: npt.ArrayLike) -> I64:
    """MultiplyByQuantizedMultiplier for int32 accumulators (double rounding).

    Args:
        x: int32 values in any integer array.
        value, shift: a Multiplier's parts, broadcast against x.
    """
    shift64 = np.asarray(shift, np.int64)
    left = np.maximum(shift64, 0)
    right = np.maximum(-shift64, 0)
    shifted = wrap_int32(np.asarray(x, np.int64) * (np.int64(1) << left))
    return rounding_divide_by_pot(doubling_high_mul(shifted, value), right)


def requantize_int64(x: npt.ArrayLike, value: npt.ArrayLike, shift: npt.ArrayLike) -> I64:
    """MultiplyByQuantizedMultiplier for int64 accumulators (16x8): 15-bit multiplier, one rounding.

    The multiplier is reduced to 15 bits, (value + 2**15) >> 16 (saturated), and
    (x * m + 2**(14 - shift)) >> (15 - shift) is returned, wrapped to 32 bits. shift <= 7.
    """
    value64 = np.asarray(value, np.int64)
    reduced = np.where(value64 < 0x7FFF0000, (value64 + (1 << 15)) >> 16, 0x7FFF)
    total_shift = 15 - np.asarray(shift, np.int64)
    product = np.asarray(x, np.int64) * reduced + (np.int64(1) << (total_shift - 1))
    return wrap_int32(product >> total_shift)


def activation_range(
    activation: str, dtype: DType, scale: float, zero_point: int
) -> tuple[int, int]:
    """The clamp of a fused activation in the output's integer domain.

    Args:
        activation: NONE, RELU, RELU6 or RELU_N1_TO_1.
        scale: float32 value of the output's scale.
    """
    low, high = INTEGER_RANGE[dtype]

    def quantize(real: float) -> int:
        q = np.float32(real) / np.float32(scale)
        return zero_point + round_half_away(float(q))

    if activation == "RELU":
        return max(low, quantize(0.0)), high
    if activation == "RELU6":
        return max(low, quantize(0.0)), min(high, quantize(6.0))
    if activation == "RELU_N1_TO_1":
        return max(low, quantize(-1.0)), min(high, quantize(1.0))
    return low, high


# TFLite clamps to the largest finite float where there is no activation, so infinities become it.
_FLOAT_MAX = float(np.finfo(np.float32).max)
FLOAT_ACTIVATION_RANGE = {
    "NONE": (-_FLOAT_MAX, _FLOAT_MAX),
    "RELU": (0.0, _FLOAT_MAX),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def float_activation(x: Array, activation: str) -> npt.NDArray[Any]:
    """Clamp float32 values to a fused activation's range."""
    low, high = FLOAT_ACTIVATION_RANGE[activation]
    return np.clip(x, np.float32(low), np.float32(high))
