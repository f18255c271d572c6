"""1 / sqrt(integer) as a fixed-point multiplier, bit for bit as TFLite computes it."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.fixed_point import (
    INT32_MAX,
    Multiplier,
    doubling_high_mul,
    rounding_divide_by_pot,
)
from edgepack.ops.shared.gemmlowp import saturating_multiply_by_pot

_HALF_SQRT_2 = 1518500250  # sqrt(2) / 2 in Q0.31
_ONE_AND_A_HALF = (1 << 28) + (1 << 27)  # in Q3.28
_NEWTON_STEPS = 5


def inverse_sqrt_multiplier(value: int) -> Multiplier:
    """1 / sqrt(value) for value >= 0; 0 counts as 1.

    Newton's iteration in Q3.28 on the value brought to [2**27, 2**29) by an even shift
    (GetInvSqrtQuantizedMultiplierExp in TFLite's kernels/internal/common.h).
    """
    if value <= 1:
        return Multiplier(INT32_MAX, 0)
    right = 11
    while value >= 1 << 29:
        value //= 4
        right += 1
    pairs = (31 - value.bit_length()) // 2 - 1
    right -= pairs
    scaled = value << (2 * pairs)
    half = int(rounding_divide_by_pot(scaled >> 1, 1))
    x = 1 << 28
    for _ in range(_NEWTON_STEPS):
        cube = _rescale(_product(_product(x, x), x), 6)
        x = _rescale(_product(_ONE_AND_A_HALF, x) - _product(half, cube), 3)
    x = _product(x, _HALF_SQRT_2)
    if right < 0:
        x <<= -right
        right = 0
    return Multiplier(x, -right)


def _product(a: int, b: int) -> int:
    return int(doubling_high_mul(a, b))


def _rescale(x: int, integer_bits: int) -> int:
    """A Q(3 + integer_bits) number in Q3."""
    return int(saturating_multiply_by_pot(np.asarray(x, np.int64), integer_bits))
