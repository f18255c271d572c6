"""HARD_SWISH: x * clamp(x + 3, 0, 6) / 6."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.elementwise import Unary
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from edgepack.ops.shared.float_math import hard_swish
from edgepack.types import Array, DType

_I64 = npt.NDArray[np.int64]
_LOW, _HIGH = INTEGER_RANGE[DType.INT16]
_HIRES_BITS = 7  # int8 differences are worked on as int16, shifted left by this much


@dataclass(frozen=True)
class _Scale:
    """A factor as TFLite rounds it for this op: multiplier / 2**15 * 2**exponent."""

    multiplier: int
    exponent: int


class HardSwish(Unary):
    """int8 follows TFLM's 16-bit fixed-point steps, including where they truncate."""

    name = "HARD_SWISH"
    types = (DType.INT8, DType.FLOAT32)
    header = "ep_activation.h"
    kernel = "ep_hard_swish"
    params = "ep_activation_params"

    def check(self, view: NodeView) -> None:
        super().check(view)
        if view.output().dtype is DType.FLOAT32:
            return
        exponent = self._output_scale(view).exponent
        if not -15 <= exponent <= 0:
            raise unsupported(
                view,
                f"input scale {view.input(0).scale:g} against output scale "
                f"{view.output().scale:g}: TFLM allows a ratio of 2**-8 to 128",
            )

    def apply(self, view: NodeView, x: Array) -> Array:
        source, out = view.input(0), view.output()
        if out.dtype is DType.FLOAT32:
            return hard_swish(x)
        scale, gate = self._output_scale(view), self._gate_scale(view)
        hires = _int16((x.astype(np.int64) - source.zero_point) << _HIRES_BITS)
        value = _rounding_high_mul(hires, scale.multiplier)
        weight = hires
        if gate.exponent > 0:
            weight = _saturate(weight << (gate.exponent - 1))
        weight = _rounding_high_mul(weight, gate.multiplier)
        if gate.exponent > 0:
            weight = _saturate(weight << 1)
        elif gate.exponent < 0:
            weight = rounding_divide_by_pot(weight, min(-gate.exponent, 31))
        weight = (weight + (1 << 15)) >> 1  # [-1, 1] to [0, 1]
        product = weight * value
        truncated = np.sign(product) * (np.abs(product) >> 15)
        result = _int16(rounding_divide_by_pot(truncated, -scale.exponent) + out.zero_point)
        return np.clip(result, *INTEGER_RANGE[out.dtype])

    def _output_scale(self, view: NodeView) -> _Scale:
        return _scale(_hires_scale(view) / np.float32(view.output().scale))

    def _gate_scale(self, view: NodeView) -> _Scale:
        """To the scale on which 3.0 is 2**15."""
        return _scale(_hires_scale(view) / (np.float32(3) / np.float32(32768)))


def _hires_scale(view: NodeView) -> np.float32:
    return np.float32(1 / 128) * np.float32(view.input(0).scale)


def _scale(real: np.float32) -> _Scale:
    factor = quantize_multiplier(float(real))
    return _Scale(min((factor.value + (1 << 15)) >> 16, _HIGH), factor.shift)


def _rounding_high_mul(a: _I64, b: int) -> _I64:
    """(a * b + half) / 2**15, towards zero after a nudge away from it; b is positive."""
    product = a * b
    total = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.asarray(np.sign(total) * (np.abs(total) >> 15), np.int64)


def _saturate(x: _I64) -> _I64:
    return np.clip(x, _LOW, _HIGH)


def _int16(x: _I64) -> _I64:
    """What an int16 register would hold."""
    return ((x + (1 << 15)) & 0xFFFF) - (1 << 15)
