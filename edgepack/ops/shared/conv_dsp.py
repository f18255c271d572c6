"""Lowering of int8 CONV_2D for cores with SMLAD (firmware/kernels/ep_conv2d_s8_dsp.h)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_geometry import conv_overlaps, is_pointwise, window_runs
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    KernelCall,
    Output,
    Params,
    Scratch,
    Units,
)
from edgepack.ops.shared.requant import ChannelMultipliers, channel_multipliers
from edgepack.ops.shared.scale_word import reach, scale_words
from edgepack.types import Array, DType

_LONG_ENOUGH_FOR_EIGHTS = 32  # words; below, fewer turns of the loop do not pay for the code
_MAX_BIAS = 1 << 26  # shares a word with a 5-bit shift
POSITIONS = 4  # output positions that one pass over the weights serves
_FEW_POSITIONS = 64  # up to here the last block is more than 3 % of the work
_LONG_COLUMN = 20  # words from which the inner loop outweighs all that depends on parameters
_MAX_SHIFT = 22  # keeps zero point << shift inside 31 bits


def lower_conv_dsp(
    view: NodeView, geometry: tuple[tuple[str, int], ...], activation: str, macs: int
) -> KernelCall | None:
    """The SMLAD kernel's call, or None where its conditions do not hold."""
    x, w, out, bias = view.input(0), view.input(1), view.output(), view.optional(2)
    fields = dict(geometry)
    if x.dtype is not DType.INT8 or w.dtype is not DType.INT8 or w.data is None:
        return None
    if fields["group_c"] != fields["in_c"] or (bias is not None and bias.data is None):
        return None
    multipliers = channel_multipliers(x, w, out, out.shape[-1])
    filters = w.data.reshape(w.shape[0], -1)
    stored_bias = None if bias is None else bias.data
    folded = fold_zero_point(filters, stored_bias, x.zero_point)
    if not fast_requantization(filters, stored_bias, multipliers, x.zero_point, out.zero_point):
        return None
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    runs, run = window_runs(fields)
    packed = pack_filter_pairs(filters[:, _column_order(runs, run)])
    units = _scaled_units(view, filters, packed, multipliers, (low, high))
    if units is None:
        if not pairs_fit(filters, folded) or np.abs(folded.astype(np.int64)).max() >= _MAX_BIAS:
            return None
        units = _Units(_folded_stream(packed, folded, multipliers))
    k_pairs = packed.shape[1]
    rest, few = _tail(fields)
    reverse = is_pointwise(fields) and fields["out_c"] > fields["in_c"]
    del fields["group_c"]
    params = Params(
        "ep_conv2d_s8_dsp_params",
        (
            *fields.items(),
            ("runs", runs),
            ("run", run),
            ("k_pairs", k_pairs),
            ("input_offset", -x.zero_point if units.scaled else 0),
            ("fill", 0 if units.scaled else x.zero_point),
            ("output_offset", out.zero_point),
            ("act_min", low),
            ("act_max", high),
            ("shift_mask", units.shift_mask),
            ("shift_base", units.shift_base),
            ("scaled", units.scaled),
            ("narrow", units.narrow),
            ("singles", rest > 0 and not few),
            ("partial", rest > 0 and few),
            ("whole", run % 4 == 0 and k_pairs % 4 == 0 and fields["out_c"] % 2 == 0),
            ("eights", k_pairs % 8 == 0 and k_pairs >= _LONG_ENOUGH_FOR_EIGHTS),
            ("relu", low == out.zero_point),
            ("reverse", reverse),
        ),
        structural=(
            "batches",
            "kernel_h",
            "kernel_w",
            "stride_h",
            "stride_w",
            "dilation_h",
            "dilation_w",
            "pad_top",
            "pad_left",
            "act_min",
            "act_max",
            "singles",
            "scaled",
        ),
        optional=("whole", "eights", "relu"),
    )
    return KernelCall(
        "ep_conv2d_s8_dsp",
        "ep_conv2d_s8_dsp.h",
        (
            params,
            Input(0),
            Const("stream", units.stream),
            Output(0),
            Scratch("uint32_t"),
        ),
        scratch_bytes=4 * POSITIONS * k_pairs,
        overlaps=conv_overlaps(fields, x.nbytes, POSITIONS, reverse=reverse),
        macs=macs,
        cheap_to_share=k_pairs >= _LONG_COLUMN,
        units=Units.of(
            units.stream, 4 if units.narrow else 8, 4 * k_pairs, 8, channels=2, paired=True
        ),
        reason="SMLAD, two filters by four positions, weights packed in load order",
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
    if shift.min() < 1 or shift.max() > _MAX_SHIFT or bound.max() >= 1 << 30:
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


def _column_order(runs: int, run: int) -> npt.NDArray[np.int64]:
    """Position in a column -> input of the window: whole words of every run, then the rest."""
    k = np.arange(runs * run).reshape(runs, run)
    whole = run // 4 * 4
    return np.concatenate([k[:, :whole].reshape(-1), k[:, whole:].reshape(-1)])


@dataclass(frozen=True, eq=False)
class _Units:
    """Everything that the pairs of filters need, in the order in which the kernel reads it."""

    stream: npt.NDArray[np.uint32]
    scaled: bool = False
    narrow: bool = False
    shift_mask: int = 0
    shift_base: int = 0


def _scaled_units(
    view: NodeView,
    filters: Array,
    packed: npt.NDArray[np.uint32],
    multipliers: ChannelMultipliers,
    limits: tuple[int, int],
) -> _Units | None:
    """Biases as stored and multipliers that hold their shifts, or None where they do not fit."""
    x, out, bias = view.input(0), view.output(), view.optional(2)
    stored = None if bias is None or bias.data is None else bias.data.reshape(-1)
    start = np.zeros(len(filters), np.int64) if stored is None else stored.astype(np.int64)
    # columns hold inputs minus their zero point: twice the span that pairs_fit assumes
    beyond = np.abs(filters.astype(np.int64)).sum(axis=1) * 128 + np.abs(start)
    if not pairs_fit(filters, np.asarray(beyond, np.int32)):
        return None
    scales = scale_words(multipliers, reach(filters, stored, x.zero_point), out.zero_point, limits)
    if scales is None:
        return None
    pairs = len(packed)
    fill = 2 * pairs - len(start)
    narrow = bool(start.min() >= -(1 << 15) and start.max() < 1 << 15)
    heads = np.pad(start, (0, fill)).reshape(pairs, 2).astype("<i2" if narrow else "<i4")
    ends = np.pad(scales.words, (0, fill)).reshape(pairs, 2)
    parts = [heads.view("<u4").astype(np.uint32), packed, ends]
    stream = np.concatenate(parts, axis=1).reshape(-1)
    return _Units(stream, True, narrow, scales.mask, scales.base)


def _folded_stream(
    packed: npt.NDArray[np.uint32],
    bias: npt.NDArray[np.int32],
    multipliers: ChannelMultipliers,
) -> npt.NDArray[np.uint32]:
    """Biases with the zero point folded in and shifts share a word."""
    pairs = len(packed)
    fill = 2 * pairs - len(bias)
    heads = np.pad(bias.astype(np.int64) * 32 - multipliers.shift - 1, (0, fill))
    parts = [
        (heads.reshape(pairs, 2) & 0xFFFFFFFF).astype(np.uint32),
        packed,
        np.pad(multipliers.value, (0, fill)).reshape(pairs, 2).view(np.uint32),
    ]
    return np.concatenate(parts, axis=1).reshape(-1)


def _tail(g: dict[str, int]) -> tuple[int, bool]:
    """Positions after the last four, and whether they are computed as a block.

    A block computes four and keeps fewer: worth it only where three or two of few are kept.
    """
    positions = g["out_h"] * g["out_w"]
    rest = positions % POSITIONS
    return rest, rest > 1 and positions < _FEW_POSITIONS
