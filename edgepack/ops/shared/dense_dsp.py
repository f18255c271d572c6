"""Lowering of int8 FULLY_CONNECTED for cores with SMLAD (ep_fully_connected_s8_dsp.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.dsp_units import BYTES, NIBBLES, PAIRS, nibbles_fit
from edgepack.ops.shared.filters import Filters, constant_filters, pack_filter_pairs, pairs_fit
from edgepack.ops.shared.int4 import pack_int4
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Output, Params, Units
from edgepack.ops.shared.requant import ChannelMultipliers

_FEW_MACS = 1000  # below, the portable kernel's smaller code is worth more
_GROUP = 4  # filters that share one pass over the inputs
_REASONS = (
    "SMLAD, four filters at a time, two sharing each word",
    "SMLAD, four filters at a time, as two do not fit one word",
    "SMLAD, four filters at a time, 4-bit weights used where they lie",
)


def lower_dense_dsp(
    view: NodeView, multipliers: ChannelMultipliers, activation: str, macs: int, isa: Isa
) -> KernelCall | None:
    """The SMLAD kernel's call, or None where its conditions do not hold."""
    filters = constant_filters(view, activation, multipliers=multipliers)
    if filters is None or (macs < _FEW_MACS and isa.optimize != "speed"):
        return None
    layout = _layout(filters)
    if layout == NIBBLES and not nibbles_fit(filters):
        return None
    start = filters.start if layout == PAIRS else filters.folded.astype(np.int64)
    narrow = bool(start.min() >= -(1 << 15) and start.max() < 1 << 15)
    per_channel = multipliers.value.size > 1
    any_scale = not filters.fast
    shifts = multipliers.shift.astype(np.int64)
    shifts = shifts if any_scale else -shifts - 1
    channels, inputs = filters.weights.shape
    elements = view.input(0).elements
    low, high = filters.limits
    params = Params(
        "ep_fully_connected_s8_dsp_params",
        (
            ("batches", elements // inputs),
            ("in_n", inputs),
            ("out_n", channels),
            ("input_offset", -filters.input_zero),
            ("output_offset", filters.output_zero),
            ("multiplier", 0 if per_channel else int(multipliers.value[0])),
            ("shift", 0 if per_channel else int(shifts[0])),
            ("act_min", low),
            ("act_max", high),
            ("layout", layout),
            ("per_channel", per_channel),
            ("narrow_bias", narrow),
            ("any_scale", any_scale),
        ),
        structural=(
            "batches",
            "act_min",
            "act_max",
            "layout",
            "per_channel",
            "narrow_bias",
            "any_scale",
        ),
    )
    parts = [_heads(start, narrow=narrow), _weights(filters.weights, layout)]
    if per_channel:
        parts += _scales(multipliers, shifts)
    stream = np.concatenate(parts, axis=1).reshape(-1)
    coded = Units.of(
        stream,
        8 if narrow else 16,
        4 * parts[1].shape[1],
        20 if per_channel else 0,
        channels=_GROUP,
        paired=layout == PAIRS,
    )
    return KernelCall(
        "ep_fully_connected_s8_dsp",
        "ep_fully_connected_s8_dsp.h",
        (params, Input(0), Const("stream", stream), Output(0)),
        macs=macs,
        cheap_to_share=True,
        units=coded if elements == inputs and layout != NIBBLES else None,
        reason=_REASONS[layout],
    )


def _layout(filters: Filters) -> int:
    """How weights are stored: as narrow as they are, in pairs where these fit."""
    if filters.packed:
        return NIBBLES
    # the kernel widens inputs minus their zero point: twice the span that pairs_fit assumes
    weights = filters.weights
    reach = np.abs(weights.astype(np.int64)).sum(axis=1) * 128 + np.abs(filters.start)
    return PAIRS if filters.fast and pairs_fit(weights, reach.astype(np.int32)) else BYTES


def _heads(start: npt.NDArray[np.int64], *, narrow: bool) -> npt.NDArray[np.uint32]:
    """What the sums of each group start from."""
    padded = np.pad(start, (0, -len(start) % _GROUP)).reshape(-1, _GROUP)
    words = np.ascontiguousarray(padded.astype("<i2" if narrow else "<i4")).view("<u4")
    return words.astype(np.uint32)


def _weights(weights: npt.NDArray[np.int8], layout: int) -> npt.NDArray[np.uint32]:
    """The weights of each group of four filters, four inputs after the other."""
    channels, inputs = weights.shape
    padded = np.pad(weights, ((0, -channels % _GROUP), (0, -inputs % 4)))
    groups = len(padded) // _GROUP
    if layout == PAIRS:
        pairs = pack_filter_pairs(padded).reshape(groups, 2, -1, 2)  # [group, pair, inputs, 2]
        return pairs.transpose(0, 2, 1, 3).reshape(groups, -1)
    fours = padded.reshape(groups, _GROUP, -1, 4).transpose(0, 2, 1, 3)  # [group, inputs, filter]
    if layout == BYTES:
        data = np.ascontiguousarray(fours.astype(np.int8)).view(np.uint8)
    else:
        data = pack_int4(fours.reshape(groups, -1, 2, 2, 4).transpose(0, 1, 2, 4, 3))
    return data.reshape(groups, -1).view("<u4").astype(np.uint32)


def _scales(
    multipliers: ChannelMultipliers, shifts: npt.NDArray[np.int64]
) -> list[npt.NDArray[np.uint32]]:
    """Four multipliers and a word of four shifts for each group."""
    fill = -len(shifts) % _GROUP
    values = np.pad(multipliers.value, (0, fill)).reshape(-1, _GROUP)
    bytes_ = np.pad(shifts, (0, fill)).astype(np.int8).reshape(-1, _GROUP)
    return [
        np.ascontiguousarray(values).view(np.uint32),
        bytes_.view("<u4").astype(np.uint32),
    ]
