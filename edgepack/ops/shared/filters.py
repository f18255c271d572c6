"""int8 and int4 filters as the fast kernels want them: checks, sums, words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.shared.requant import ChannelMultipliers, channel_multipliers
from edgepack.types import Array, DType

MAX_SHIFT = 22  # keeps zero point << shift inside 31 bits


@dataclass(frozen=True, eq=False)
class Filters:
    """Weights that are constants, one filter per row, and all that requantization needs.

    Args:
        weights: int8 [channels, inputs of one filter]; int4 values too.
        bias: int32 [channels] as stored, or None.
        multipliers: per channel, or one for all.
        limits: the output's clamp, inclusive.
        input_zero, output_zero: zero points.
        packed: weights are 4-bit values.
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32] | None
    multipliers: ChannelMultipliers
    limits: tuple[int, int]
    input_zero: int
    output_zero: int
    packed: bool

    @property
    def start(self) -> npt.NDArray[np.int64]:
        """The biases, 0 where there are none."""
        if self.bias is None:
            return np.zeros(len(self.weights), np.int64)
        return self.bias.astype(np.int64)

    @property
    def folded(self) -> npt.NDArray[np.int32]:
        """What sums of raw inputs start from (fold_zero_point)."""
        return fold_zero_point(self.weights, self.bias, self.input_zero)

    @property
    def fast(self) -> bool:
        """Whether ep_requantize_dsp is exact."""
        return fast_requantization(
            self.weights, self.bias, self.multipliers, self.input_zero, self.output_zero
        )


def constant_filters(
    view: NodeView,
    activation: str,
    *,
    by_last: bool = False,
    multipliers: ChannelMultipliers | None = None,
) -> Filters | None:
    """The filters of a node, or None where it is not int8 with constant weights and bias.

    Args:
        by_last: the channel is the last dimension of the weights (depthwise), else the first.
        multipliers: where they are not those of a convolution.
    """
    x, w, out, bias = view.input(0), view.input(1), view.output(), view.optional(2)
    if x.dtype is not DType.INT8 or w.dtype not in (DType.INT8, DType.INT4) or w.data is None:
        return None
    if bias is not None and bias.data is None:
        return None
    channels = w.shape[-1] if by_last else w.shape[0]
    rows = w.data.reshape(-1, channels).T if by_last else w.data.reshape(channels, -1)
    return Filters(
        rows,
        None if bias is None or bias.data is None else bias.data.reshape(-1),
        multipliers or channel_multipliers(x, w, out, channels),
        activation_range(activation, out.dtype, out.scale, out.zero_point),
        x.zero_point,
        out.zero_point,
        w.dtype is DType.INT4,
    )


def fold_zero_point(filters: Array, bias: Array | None, zero_point: int) -> npt.NDArray[np.int32]:
    """bias - zero_point * sum(weights), so that the kernel multiplies raw inputs."""
    base = np.zeros(len(filters), np.int64) if bias is None else bias.astype(np.int64)
    folded = base - zero_point * filters.astype(np.int64).sum(axis=1)
    wrapped = (folded + (1 << 31)) % (1 << 32) - (1 << 31)
    return np.asarray(wrapped, np.int32)


def fast_requantization(
    filters: Array,
    bias: Array | None,
    multipliers: ChannelMultipliers,
    input_zero_point: int,
    output_zero_point: int,
) -> bool:
    """Whether ep_requantize_dsp is exact: right shifts only and accumulators below 2**30.

    Args:
        filters: int8 [channels, inputs of one filter].
    """
    weights = np.abs(filters.astype(np.int64)).sum(axis=1)
    span = max(abs(-128 - input_zero_point), abs(127 - input_zero_point))
    base = 0 if bias is None else np.abs(bias.astype(np.int64))
    bound = weights * span + base
    shift = -multipliers.shift.astype(np.int64)
    if shift.min() < 1 or shift.max() > MAX_SHIFT or bound.max() >= 1 << 30:
        return False
    rounding = (np.int64(1) << (shift - 1)) + (abs(output_zero_point) << shift)
    high = (bound * multipliers.value.astype(np.int64) >> 31) + 1
    return bool((high + rounding < 1 << 31).all())


def pairs_fit(filters: Array, start: npt.NDArray[np.int32]) -> bool:
    """Whether every pair of filters can share words (ep_dot_dsp.h).

    The second filter's sum must fit 24 bits, and both weights of a word 16.

    Args:
        filters: int8 [channels, inputs of one filter].
        start: int32 [channels], what the sums start from.
    """
    wide = filters.astype(np.int64)
    reach = np.abs(wide).sum(axis=1) * 128 + np.abs(start.astype(np.int64))
    low, high = wide[0::2], wide[1::2]
    combined = low[: len(high)] + 256 * high
    fits = combined.size == 0 or (combined.min() >= -(1 << 15) and combined.max() < 1 << 15)
    return bool(fits and (reach[1::2] < 1 << 23).all())


def pack_filter_pairs(filters: Array) -> npt.NDArray[np.uint32]:
    """Weights [channels, K] as ep_dot_dsp.h reads them: uint32 [ceil(channels / 2), pairs of K].

    K is padded to a multiple of 4, and every four inputs stand in the order 0, 2, 1, 3, in which
    SXTB16 widens them.
    """
    channels, k = filters.shape
    padded = np.zeros((channels + channels % 2, -(-k // 4) * 4), np.int32)
    padded[:channels, :k] = filters
    padded = padded.reshape(len(padded), -1, 4)[:, :, [0, 2, 1, 3]].reshape(len(padded), -1)
    halves = np.ascontiguousarray((padded[0::2] + 256 * padded[1::2]).astype("<i2"))
    return np.ascontiguousarray(halves.view("<u4").astype(np.uint32))
