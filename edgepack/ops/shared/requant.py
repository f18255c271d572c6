"""Requantization parameters of ops that multiply an input by weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ir import Tensor
from edgepack.ops.shared.fixed_point import (
    Multiplier,
    quantize_multiplier,
    requantize,
    requantize_int64,
)
from edgepack.types import Array


@dataclass(frozen=True, eq=False)
class ChannelMultipliers:
    """Multipliers: value int32 and shift int8, both [channels] or, for all channels alike, [1]."""

    value: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int8]

    def apply(self, acc: Array) -> npt.NDArray[np.int64]:
        """Requantize int32 accumulators whose last axis is the channel."""
        return requantize(acc, self.value, self.shift)

    def apply_int64(self, acc: Array) -> npt.NDArray[np.int64]:
        """Requantize int64 accumulators (16x8) whose last axis is the channel."""
        return requantize_int64(acc, self.value, self.shift)


def channel_multipliers(
    source: Tensor, weights: Tensor, output: Tensor, channels: int
) -> ChannelMultipliers:
    """input_scale * weight_scale[c] / output_scale in float64, as TFLM prepares convolutions."""
    assert weights.quant is not None
    scales = weights.quant.scale if weights.quant.per_channel else weights.quant.scale * channels
    parts = [quantize_multiplier(source.scale * s / output.scale) for s in scales]
    return _pack(parts)


def tensor_multiplier(source: Tensor, weights: Tensor, output: Tensor) -> Multiplier:
    """One multiplier for the whole tensor, as TFLM prepares FULLY_CONNECTED and BATCH_MATMUL.

    In float64 throughout, as TFLM's interpreter of 2026 has it; LiteRT rounds the product of the
    two input scales to float32, which moves ties.
    """
    return quantize_multiplier(source.scale * weights.scale / output.scale)


def one_multiplier(part: Multiplier) -> ChannelMultipliers:
    """A multiplier for all channels, as arrays of one entry."""
    return _pack([part])


def _pack(parts: list[Multiplier]) -> ChannelMultipliers:
    return ChannelMultipliers(
        np.array([m.value for m in parts], np.int32), np.array([m.shift for m in parts], np.int8)
    )
