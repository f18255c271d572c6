"""gemmlowp's fixed-point transcendental functions, evaluated at build time to make tables.

Raw values are int32 arrays in Q(integer bits).(31 - integer bits). The constants are those that
gemmlowp's fixedpoint.h states (rounded values of exp(-1/8), 1/3, exp(-2**k), 48/17, 32/17).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    doubling_high_mul,
    rounding_divide_by_pot,
)

I64 = npt.NDArray[np.int64]

_EXP_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883
# exponent k -> exp(-2**k) in Q0.31
_EXP_MINUS_POT = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)


def saturating_multiply_by_pot(x: I64, exponent: int) -> I64:
    """x * 2**exponent: saturating to the left, rounding to the right."""
    if exponent <= 0:
        return rounding_divide_by_pot(x, -exponent)
    return np.asarray(np.clip(x << exponent, INT32_MIN, INT32_MAX), np.int64)


def _exp_between_minus_quarter_and_0(x: I64) -> I64:
    """exp of Q0.31 values in [-1/4, 0): a polynomial around -1/8."""
    shifted = x + (1 << 28)
    square = doubling_high_mul(shifted, shifted)
    cube = doubling_high_mul(square, shifted)
    fourth = doubling_high_mul(square, square)
    fourth_over_4 = saturating_multiply_by_pot(fourth, -2)
    tail = saturating_multiply_by_pot(
        doubling_high_mul(fourth_over_4 + cube, _ONE_THIRD) + square, -1
    )
    return _EXP_MINUS_EIGHTH + doubling_high_mul(_EXP_MINUS_EIGHTH, shifted + tail)


def exp_on_negative_values(x: npt.ArrayLike, integer_bits: int) -> I64:
    """exp(x) in Q0.31 for x <= 0 in Q(integer_bits)."""
    raw = np.asarray(x, np.int64)
    fractional = 31 - integer_bits
    quarter = 1 << (fractional - 2)
    reduced = (raw & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_0(saturating_multiply_by_pot(reduced, integer_bits))
    remainder = reduced - raw
    for exponent, factor in _EXP_MINUS_POT:
        if integer_bits > exponent:
            bit = 1 << (fractional + exponent)
            result = np.where(remainder & bit, doubling_high_mul(result, factor), result)
    if integer_bits > 5:
        result = np.where(raw < -(1 << (fractional + 5)), 0, result)
    return np.asarray(np.where(raw == 0, INT32_MAX, result), np.int64)


def one_over_one_plus_x(x: npt.ArrayLike) -> I64:
    """1 / (1 + x) in Q0.31 for x in [0, 1) in Q0.31: three Newton steps."""
    total = np.asarray(x, np.int64) + INT32_MAX
    half_denominator = (total + 1) // 2
    y = 1515870810 + doubling_high_mul(half_denominator, -1010580540)
    for _ in range(3):
        error = (1 << 29) - doubling_high_mul(half_denominator, y)
        y = y + saturating_multiply_by_pot(doubling_high_mul(y, error), 2)
    return saturating_multiply_by_pot(y, 1)


def one_minus_x_over_one_plus_x(x: npt.ArrayLike) -> I64:
    """(1 - x) / (1 + x) in Q0.31 for x in [0, 1) in Q0.31: 2 / (1 + x) - 1 by Newton's steps."""
    total = np.asarray(x, np.int64) + INT32_MAX
    half_denominator = (total + 1) // 2
    y = 1515870810 + doubling_high_mul(half_denominator, -1010580540)
    for _ in range(3):
        error = (1 << 29) - doubling_high_mul(half_denominator, y)
        y = y + saturating_multiply_by_pot(doubling_high_mul(y, error), 2)
    return saturating_multiply_by_pot(y - (1 << 29), 2)


def logistic(x: npt.ArrayLike, integer_bits: int) -> I64:
    """1 / (1 + exp(-x)) in Q0.31 for x in Q(integer_bits)."""
    raw = np.asarray(x, np.int64)
    positive = one_over_one_plus_x(exp_on_negative_values(-np.abs(raw), integer_bits))
    result = np.where(raw > 0, positive, INT32_MAX - positive)
    return np.asarray(np.where(raw == 0, 1 << 30, result), np.int64)


def tanh(x: npt.ArrayLike, integer_bits: int) -> I64:
    """tanh(x) in Q0.31 for x in Q(integer_bits): from exp(-2 |x|)."""
    raw = np.asarray(x, np.int64)
    size = one_minus_x_over_one_plus_x(exp_on_negative_values(-np.abs(raw), integer_bits + 1))
    return np.asarray(np.where(raw == 0, 0, np.where(raw < 0, -size, size)), np.int64)


_LOG_2 = 1488522236
_SQRT_HALF = 1518500250
_SQRT_SQRT_HALF = 1805811301
# Coefficients of the rational approximation of the logarithm around sqrt(sqrt(1/2)), Q0.31.
_ALPHA_N, _ALPHA_D = 117049297, 127690142  # 11/240 and 1/20, times 2**(1/4)
_ALPHA_I, _ALPHA_F = 1057819769, 638450708  # 2 / 2**(1/4) - 2**(1/4), and 2**(1/4) / 4
_LOG_QUARTER = 1 << 23  # in Q6.25, as the exponents


def log_of_1_or_more(x: npt.ArrayLike) -> I64:
    """log(x) in Q5.26 for x >= 1 in Q12.19 (TFLite's log_x_for_x_greater_than_or_equal_to_1).

    The mantissa is brought to [sqrt(1/2), 1) by one of two ways of scaling; the smaller one counts.
    """
    raw = np.asarray(x, np.int64)
    zeros_a = _leading_zeros(raw)
    scaled_a = doubling_high_mul(_shift_left(raw, zeros_a - 1), _SQRT_HALF)
    mantissa_a = _shift_left(scaled_a, np.ones_like(scaled_a))
    exponent_a = ((12 - zeros_a) << 25) + _LOG_QUARTER
    zeros_b = _leading_zeros(doubling_high_mul(raw, _SQRT_HALF)) - 1
    mantissa_b = _shift_left(raw, zeros_b)
    exponent_b = ((12 - zeros_b) << 25) - _LOG_QUARTER
    r = np.minimum(mantissa_a, mantissa_b)
    exponent = np.maximum(exponent_a, exponent_b)
    p = (r + _SQRT_SQRT_HALF + 1) // 2
    q = 2 * (r - _SQRT_SQRT_HALF)
    square = doubling_high_mul(q, q)
    numerator = doubling_high_mul(q, r) + doubling_high_mul(doubling_high_mul(q, square), _ALPHA_N)
    denominator = doubling_high_mul(
        p, _ALPHA_I + q + doubling_high_mul(_ALPHA_D, square)
    ) + doubling_high_mul(_ALPHA_F, q)
    mantissa_log = doubling_high_mul(
        rounding_divide_by_pot(numerator, 6), one_over_one_plus_x(denominator)
    )
    return saturating_multiply_by_pot(doubling_high_mul(exponent, _LOG_2) + mantissa_log, 1)


def _leading_zeros(x: I64) -> I64:
    """Of positive int32 values."""
    return np.asarray(31 - np.floor(np.log2(x.astype(np.float64))), np.int64)


def _shift_left(x: I64, bits: I64) -> I64:
    return np.asarray(np.clip(x << bits, INT32_MIN, INT32_MAX), np.int64)
