"""What LOGISTIC and TANH share: gemmlowp's fixed point for int8, TFLite's table for int16."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, require_scale, unary_call
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    quantize_multiplier,
    requantize,
    rounding_divide_by_pot,
)
from edgepack.ops.shared.kernel import Const, Lowered
from edgepack.types import Array, DType

_I64 = npt.NDArray[np.int64]
_INTEGER_BITS = 4  # int8 inputs are brought to Q4.27
_INT16_OUTPUT_SCALE = 2.0**-15

# Where TFLite's table is one above the rounded value of 65536 * sigmoid(i / 24).
# fmt: off
_RAISED = (
    4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41,
    43, 44, 45, 46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
)
# fmt: on


def sigmoid_table() -> npt.NDArray[np.uint16]:
    """sigmoid(i / 24) in Q0.16 for i in 0..255 (TFLite's sigmoid_table_uint16)."""
    exact = [math.floor(65536 / (1 + math.exp(-i / 24)) + 0.5) for i in range(256)]
    return np.array([v + (i in _RAISED) for i, v in enumerate(exact)], np.uint16)


@dataclass(frozen=True)
class InputScale:
    """int16 inputs to units of 1 / 12288: (x * multiplier + round) >> shift."""

    multiplier: int
    shift: int

    def apply(self, x: Array) -> _I64:
        half = 1 << (self.shift - 1) if self.shift > 0 else 0
        return np.asarray((x.astype(np.int64) * self.multiplier + half) >> self.shift, np.int64)


def input_scale(scale: float, largest_power: int) -> InputScale:
    """TFLite's choice for an int16 input.

    Args:
        scale: float32 value of the input's scale.
        largest_power: scales of 2**-12 to 2**(largest_power - 12) take an exact multiplier.
    """
    log2 = np.log(np.float32(scale)) * (np.float32(1) / np.log(np.float32(2)))
    rounded = int(math.floor(abs(float(log2)) + 0.5)) * (-1 if log2 < 0 else 1)
    power = 12 + rounded
    if abs(float(log2) - rounded) < 1e-3 and 0 <= power <= largest_power:
        return InputScale(3 << power, 0)
    factor, shift = scale * 4096.0 * 3.0, 0
    while factor <= 32767.0 / 2.0 and shift <= 30:
        shift += 1
        factor *= 2.0
    return InputScale(int(factor), shift)


def logistic_q15(scaled: Array) -> _I64:
    """Sigmoid of values in units of 1 / 12288, in Q0.15: TFLite's table, linear in between."""
    size, table = np.abs(scaled), sigmoid_table().astype(np.int64)
    at = np.minimum(size >> 9, 254)
    between = (table[at] << 9) + (size & 0x1FF) * (table[at + 1] - table[at])
    y = np.where(size >> 9 >= 255, 0x7FFF << 10, between)
    return np.asarray(np.where(scaled >= 0, y + (1 << 9), (1 << 25) - y + (1 << 9) - 1) >> 10)


def tanh_q15(scaled: Array) -> _I64:
    """The same for tanh, which is 2 * sigmoid(2 * x) - 1."""
    size, table = np.abs(scaled), sigmoid_table().astype(np.int64)
    at = np.minimum(size >> 8, 254)
    between = (table[at] << 8) + (size & 0xFF) * (table[at + 1] - table[at])
    y = np.where(size >> 8 >= 255, 0xFFFF << 8, between)
    return np.asarray((np.where(scaled >= 0, y - (1 << 23), (1 << 23) - y - 1) + (1 << 7)) >> 8)


class SigmoidOp(Unary):
    """Base of LOGISTIC and TANH."""

    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    header = "ep_activation.h"
    params = "ep_activation_params"
    output_fraction: ClassVar[int]  # bits of the int8 output's fraction
    output_zero_point: ClassVar[int]
    largest_power: ClassVar[int]

    def check(self, view: NodeView) -> None:
        super().check(view)
        out = view.output()
        if out.dtype is DType.INT8:
            require_scale(view, out, 2.0**-self.output_fraction, self.output_zero_point)
        elif out.dtype is DType.INT16:
            require_scale(view, out, _INT16_OUTPUT_SCALE, 0)

    def apply_int8(
        self, view: NodeView, x: Array, function: Callable[[npt.ArrayLike, int], _I64]
    ) -> _I64:
        """int8 elements through a fixed-point function of Q4.27 values to Q0.31."""
        source = view.input(0)
        low, high = INTEGER_RANGE[DType.INT8]
        factor = quantize_multiplier(source.scale * (1 << (31 - _INTEGER_BITS)))
        radius = math.floor(
            ((1 << _INTEGER_BITS) - 1) * 2.0 ** (31 - _INTEGER_BITS) / 2.0**factor.shift
        )
        difference = x.astype(np.int64) - source.zero_point
        inside = np.abs(difference) < radius
        fixed = requantize(np.where(inside, difference, 0), factor.value, factor.shift)
        result = rounding_divide_by_pot(function(fixed, _INTEGER_BITS), 31 - self.output_fraction)
        saturated = np.where(difference >= radius, high, low)
        clamped = np.clip(result + self.output_zero_point, low, high)
        return np.asarray(np.where(inside, clamped, saturated), np.int64)

    def lower_wide(self, view: NodeView) -> Lowered:
        if view.output().dtype is DType.FLOAT32:
            return unary_call(view, f"{self.kernel}_all_f32", self.header, self.params)
        scale = input_scale(view.input(0).scale, self.largest_power)
        return unary_call(
            view,
            f"{self.kernel}_s16",
            self.header,
            "ep_sigmoid_s16_params",
            (("multiplier", scale.multiplier), ("shift", scale.shift)),
            table=Const("sigmoid", sigmoid_table(), role="tables"),
        )
