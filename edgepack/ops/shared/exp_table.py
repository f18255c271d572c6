"""Tables of exp() for the softmax family, with TFLite's fixed-point scaling of differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.fixed_point import (
    INT32_MAX,
    Multiplier,
    doubling_high_mul,
    quantize_multiplier,
    wrap_int32,
)
from edgepack.ops.shared.gemmlowp import exp_on_negative_values
from edgepack.types import Array

_DIFF_INTEGER_BITS = 5  # TFLite: a scaled difference is Q5.26
SUM_INTEGER_BITS = 12  # and a sum of exponentials Q12.19

# Sums of more exponentials of 1 than this leave Q12.19.
MAX_DEPTH = (1 << SUM_INTEGER_BITS) - 1


@dataclass(frozen=True, eq=False)
class ExpTable:
    """exp(-d * scale * beta) for the differences d of int8 values to their row's maximum.

    Args:
        values: int32 in Q0.31, [differences that TFLite does not cut off].
        factor: from a difference to Q5.26.
        radius: the largest difference that TFLite does not cut off, at least 0.
    """

    values: npt.NDArray[np.int32]
    factor: Multiplier
    radius: int


def difference_factor(scale: float, beta: float) -> float:
    """From a difference of int8 values to Q5.26; TFLite needs it to be above 1."""
    return min(beta * scale * (1 << (31 - _DIFF_INTEGER_BITS)), float(INT32_MAX))


def exp_table(scale: float, beta: float) -> ExpTable:
    """The table for an input scale (float32 value) and the softmax's beta."""
    factor = quantize_multiplier(difference_factor(scale, beta))
    radius = math.floor(
        ((1 << _DIFF_INTEGER_BITS) - 1)
        * float(1 << (31 - _DIFF_INTEGER_BITS))
        / float(1 << factor.shift)
    )
    differences = np.arange(min(radius, 255) + 1, dtype=np.int64)
    scaled = doubling_high_mul(wrap_int32(-differences << factor.shift), factor.value)
    values = exp_on_negative_values(scaled, _DIFF_INTEGER_BITS).astype(np.int32)
    return ExpTable(values, factor, radius)


_STEPS = 512  # intervals over the int16 range


def interpolation_table(
    function: Callable[[Array], Array], low: np.float32, high: np.float32, output_range: np.float32
) -> npt.NDArray[np.int16]:
    """The 513 entries from which ep_interpolate computes `function` of an int16.

    Args:
        function: of float64 arrays; its results are rounded to float32.
        low, high: real values of the inputs -32768 and 32767.
        output_range: real span of the int16 outputs, symmetric around 0 up to half a step.

    Entries are lowered by half the error at the middle of their interval, in float32 as
    LUTPopulateInt16 of TFLite's kernels/internal/common.h does.
    """
    f32 = np.float32
    step = f32((high - low) / f32(_STEPS))
    inverse = f32(f32(1 << 16) / output_range)
    index = np.arange(_STEPS + 1, dtype=np.float32)
    points = (low + index * step).astype(np.float32)
    points[_STEPS] = high
    ends = (low + (index[:-1] + f32(1)) * step).astype(np.float32)
    middles = (low + index[:-1] * step + step / f32(2)).astype(np.float32)

    def scaled(x: Array) -> npt.NDArray[np.float32]:
        value = function(x.astype(np.float64)).astype(np.float32)
        return np.asarray(value * inverse, np.float32)

    values = _round(scaled(points))
    between = _round((scaled(ends) + values[:-1]) / f32(2))
    bias = _round((between - _round(scaled(middles))) / f32(2))
    values[:-1] -= bias
    return np.clip(values, -(1 << 15), (1 << 15) - 1).astype(np.int16)


def _round(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Halves away from zero."""
    return np.asarray(np.trunc(x + np.copysign(np.float32(0.5), x)), np.float32)


def interpolate(table: npt.NDArray[np.int16], x: Array) -> npt.NDArray[np.int64]:
    """ep_interpolate: int16 inputs through a table of 513 entries."""
    wide, entries = x.astype(np.int64), table.astype(np.int64)
    index = 256 + (wide >> 7)
    slope = entries[index + 1] - entries[index]
    return np.asarray(entries[index] + ((slope * (wide & 0x7F) + 64) >> 7), np.int64)
