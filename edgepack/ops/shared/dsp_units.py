"""The weights of the SMLAD convolutions: two filters to a word, or one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.filters import Filters, pack_filter_pairs, pairs_fit
from edgepack.ops.shared.int4 import pack_int4
from edgepack.ops.shared.scale_word import reach, scale_words

PAIRS, BYTES, NIBBLES = 0, 1, 2  # EP_WEIGHTS_ of firmware/kernels/ep_dot_single.h
_MAX_BIAS = 1 << 26  # shares a word with a 5-bit shift


@dataclass(frozen=True, eq=False)
class DspUnits:
    """Everything that the filters need, in the order in which the kernel reads it."""

    stream: npt.NDArray[np.uint32]
    scaled: bool = False
    narrow: bool = False
    shift_mask: int = 0
    shift_base: int = 0
    layout: int = PAIRS
    any_scale: bool = False


def paired_units(filters: Filters, order: npt.NDArray[np.int64]) -> DspUnits | None:
    """Pairs of filters that share words, or None where they cannot.

    Args:
        order: which input of the window stands at each position of a column.
    """
    if filters.packed or not filters.fast:
        return None
    packed = pack_filter_pairs(filters.weights[:, order])
    units = _scaled_units(filters, packed)
    if units is not None:
        return units
    folded = filters.folded
    if not pairs_fit(filters.weights, folded) or np.abs(folded.astype(np.int64)).max() >= _MAX_BIAS:
        return None
    return DspUnits(_folded_stream(packed, folded, filters))


def single_units(filters: Filters, order: npt.NDArray[np.int64]) -> DspUnits | None:
    """One filter after the other; None where the sums of 4-bit weights could wrap."""
    if filters.packed and not nibbles_fit(filters):
        return None
    weights = filters.weights[:, order]
    if filters.packed:
        words = _nibble_words(weights)
    else:
        padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4)))
        words = np.ascontiguousarray(padded.astype(np.int8)).view("<u4").astype(np.uint32)
    start = filters.start
    any_scale = not filters.fast or bool(np.abs(start).max() >= _MAX_BIAS)
    shift = np.broadcast_to(filters.multipliers.shift.astype(np.int64), start.shape)
    value = np.broadcast_to(filters.multipliers.value.astype(np.int64), start.shape)
    heads = start if any_scale else start * 32 - shift - 1
    ends = [value, shift] if any_scale else [value]
    parts = [_words(heads)[:, None], words, *(_words(end)[:, None] for end in ends)]
    return DspUnits(
        np.concatenate(parts, axis=1).reshape(-1),
        scaled=True,
        layout=NIBBLES if filters.packed else BYTES,
        any_scale=any_scale,
    )


def nibbles_fit(filters: Filters) -> bool:
    """Whether 16 times the sums of 4-bit weights and widened inputs fit 32 bits."""
    return bool((np.abs(filters.weights.astype(np.int64)).sum(axis=1) * 255 * 16 < 1 << 31).all())


def _nibble_words(weights: npt.NDArray[np.int8]) -> npt.NDArray[np.uint32]:
    """Eight inputs of a filter to a word, the first four in the low halves of its bytes."""
    channels, k = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -k % 8))).reshape(channels, -1, 2, 4)
    packed = pack_int4(padded.transpose(0, 1, 3, 2))
    return packed.view("<u4").astype(np.uint32).reshape(channels, -1)


def _words(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    return (values & 0xFFFFFFFF).astype(np.uint32)


def _scaled_units(filters: Filters, packed: npt.NDArray[np.uint32]) -> DspUnits | None:
    """Biases as stored and multipliers that hold their shifts, or None where they do not fit."""
    start, weights = filters.start, filters.weights
    # columns hold inputs minus their zero point: twice the span that pairs_fit assumes
    beyond = np.abs(weights.astype(np.int64)).sum(axis=1) * 128 + np.abs(start)
    if not pairs_fit(weights, np.asarray(beyond, np.int32)):
        return None
    span = reach(weights, filters.bias, filters.input_zero)
    scales = scale_words(filters.multipliers, span, filters.output_zero, filters.limits)
    if scales is None:
        return None
    pairs = len(packed)
    fill = 2 * pairs - len(start)
    narrow = bool(start.min() >= -(1 << 15) and start.max() < 1 << 15)
    heads = np.pad(start, (0, fill)).reshape(pairs, 2).astype("<i2" if narrow else "<i4")
    ends = np.pad(scales.words, (0, fill)).reshape(pairs, 2)
    parts = [heads.view("<u4").astype(np.uint32), packed, ends]
    stream = np.concatenate(parts, axis=1).reshape(-1)
    return DspUnits(stream, True, narrow, scales.mask, scales.base)


def _folded_stream(
    packed: npt.NDArray[np.uint32], bias: npt.NDArray[np.int32], filters: Filters
) -> npt.NDArray[np.uint32]:
    """Biases with the zero point folded in and shifts share a word."""
    pairs = len(packed)
    fill = 2 * pairs - len(bias)
    heads = np.pad(bias.astype(np.int64) * 32 - filters.multipliers.shift - 1, (0, fill))
    parts = [
        _words(heads.reshape(pairs, 2)),
        packed,
        np.pad(filters.multipliers.value, (0, fill)).reshape(pairs, 2).view(np.uint32),
    ]
    return np.concatenate(parts, axis=1).reshape(-1)
