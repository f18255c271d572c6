"""A channel's multiplier and right shift in one 32-bit word, with no output changed.

The low bits of a multiplier hardly matter: where they are replaced by the shift, the accumulators
at which the output steps from one value to the next mostly stay the same integers. Whether they do
is computed here for every channel and step, over the accumulators that its weights can reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.fixed_point import INT32_MAX, requantize
from edgepack.ops.shared.requant import ChannelMultipliers
from edgepack.types import Array

I64 = npt.NDArray[np.int64]
# Multipliers tried per channel: the nearest of those with the wanted low bits first.
_TRIES = (0, 1, -1, 2, -2, 3, -3)


@dataclass(frozen=True, eq=False)
class ScaleWords:
    """Words that are multipliers as they are: (word & mask) + base is the right shift less one."""

    words: npt.NDArray[np.uint32]
    mask: int
    base: int


@dataclass(frozen=True, eq=False)
class Reach:
    """The accumulators that each channel can take, inclusive, int64 [channels]."""

    low: I64
    high: I64


def reach(filters: Array, bias: Array | None, zero_point: int) -> Reach:
    """Least and greatest bias + sum of weights * (input - zero_point), input any int8.

    Args:
        filters: int8 [channels, inputs of one filter].
    """
    wide = filters.astype(np.int64)
    positive = np.where(wide > 0, wide, 0).sum(axis=1)
    negative = np.where(wide < 0, wide, 0).sum(axis=1)
    base = np.zeros(len(wide), np.int64) if bias is None else bias.reshape(-1).astype(np.int64)
    below, above = -128 - zero_point, 127 - zero_point
    return Reach(
        base + positive * below + negative * above, base + positive * above + negative * below
    )


def scale_words(
    multipliers: ChannelMultipliers, span: Reach, zero_point: int, limits: tuple[int, int]
) -> ScaleWords | None:
    """Words for all channels, or None where one has none that is proven equal.

    Args:
        span: accumulators of each channel.
        zero_point: the output's.
        limits: the output's clamp, inclusive.
    """
    value = np.broadcast_to(multipliers.value.astype(np.int64), span.low.shape)
    less_1 = np.broadcast_to(-multipliers.shift.astype(np.int64) - 1, span.low.shape)
    wanted = np.arange(limits[0] + 1, limits[1] + 1, dtype=np.int64)[:, None] - zero_point
    if less_1.min() < 0 or wanted.size == 0 or (value <= 0).any():
        return None
    steps = _steps(value, -1 - less_1, span, wanted)
    least = int(less_1.min())
    # layers share code where they are alike: first what fits most of them
    for bits, base in ((4, 0), (5, 0), (int(less_1.max() - least).bit_length(), least)):
        if less_1.max() - base < 1 << bits:
            words = _words(value, less_1, bits, base, span, wanted, steps)
            if words is not None:
                return ScaleWords(words, (1 << bits) - 1, base)
    return None


def _words(
    value: I64, less_1: I64, bits: int, base: int, span: Reach, wanted: I64, steps: I64
) -> npt.NDArray[np.uint32] | None:
    """The words with that many bits for the shift."""
    words = np.zeros(value.shape, np.int64)
    missing = np.ones(value.shape, np.bool_)
    for attempt in _TRIES:
        tried = ((value >> bits) + attempt << bits) | (less_1 - base)
        inside = (tried > 0) & (tried <= INT32_MAX)
        equal = _same_steps(np.where(inside, tried, 1), -1 - less_1, span, wanted, steps)
        take = missing & inside & equal
        words[take] = tried[take]
        missing &= ~take
        if not missing.any():
            return words.astype(np.uint32)
    return None


def _steps(value: I64, shift: I64, span: Reach, wanted: I64) -> I64:
    """The least accumulator whose output is at least `wanted` [steps, 1], or span.high + 1.

    By bisection: neither rounding makes a larger accumulator's output smaller.
    """
    low = np.broadcast_to(span.low, (len(wanted), len(value))).copy()
    high = np.broadcast_to(span.high + 1, low.shape).copy()
    while (low < high).any():
        middle = (low + high) >> 1
        reached = requantize(middle, value, shift) >= wanted
        unsettled = low < high
        high = np.where(unsettled & reached, middle, high)
        low = np.where(unsettled & ~reached, middle + 1, low)
    return np.asarray(low, np.int64)


def _same_steps(
    value: I64, shift: I64, span: Reach, wanted: I64, steps: I64
) -> npt.NDArray[np.bool_]:
    """Which channels keep all their steps with another multiplier."""
    at = requantize(steps, value, shift) >= wanted
    before = requantize(steps - 1, value, shift) >= wanted
    kept = (at | (steps > span.high)) & (~before | (steps <= span.low))
    return np.asarray(kept.all(axis=0), np.bool_)
