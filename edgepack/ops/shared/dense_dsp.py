"""Lowering of int8 FULLY_CONNECTED for cores with SMLAD (ep_fully_connected_s8_dsp.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_dsp import fast_requantization, pack_filter_pairs, pairs_fit
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Output, Params, Units
from edgepack.ops.shared.requant import ChannelMultipliers
from edgepack.types import Array, DType

_FEW_MACS = 1000  # below, the portable kernel's smaller code is worth more
_GROUP = 4  # filters that share one pass over the inputs


def lower_dense_dsp(
    view: NodeView, multipliers: ChannelMultipliers, activation: str, macs: int, isa: Isa
) -> KernelCall | None:
    """The SMLAD kernel's call, or None where its conditions do not hold."""
    x, w, out, bias = view.input(0), view.input(1), view.output(), view.optional(2)
    if x.dtype is not DType.INT8 or w.dtype is not DType.INT8 or w.data is None:
        return None
    if (bias is not None and bias.data is None) or (macs < _FEW_MACS and isa.optimize != "speed"):
        return None
    filters, channels = w.data, w.shape[0]
    start = np.zeros(channels, np.int64) if bias is None or bias.data is None else bias.data
    start = start.reshape(-1).astype(np.int64)
    if not fast_requantization(filters, start, multipliers, x.zero_point, out.zero_point):
        return None
    # the kernel widens inputs minus their zero point: twice the span that pairs_fit assumes
    reach = np.abs(filters.astype(np.int64)).sum(axis=1) * 128 + np.abs(start)
    if not pairs_fit(filters, reach.astype(np.int32)):
        return None
    narrow = bool(start.min() >= -(1 << 15) and start.max() < 1 << 15)
    per_channel = multipliers.value.size > 1
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    params = Params(
        "ep_fully_connected_s8_dsp_params",
        (
            ("batches", x.elements // w.shape[1]),
            ("in_n", w.shape[1]),
            ("out_n", channels),
            ("input_offset", -x.zero_point),
            ("output_offset", out.zero_point),
            ("multiplier", 0 if per_channel else int(multipliers.value[0])),
            ("shift_less_1", 0 if per_channel else -int(multipliers.shift[0]) - 1),
            ("act_min", low),
            ("act_max", high),
            ("per_channel", per_channel),
            ("narrow_bias", narrow),
        ),
        structural=("batches", "act_min", "act_max", "per_channel", "narrow_bias"),
    )
    stream = _stream(filters, start, multipliers if per_channel else None, narrow=narrow)
    return KernelCall(
        "ep_fully_connected_s8_dsp",
        "ep_fully_connected_s8_dsp.h",
        (params, Input(0), Const("stream", stream), Output(0)),
        macs=macs,
        cheap_to_share=True,
        units=_units(stream, w.shape[1], narrow=narrow, per_channel=per_channel)
        if x.elements == w.shape[1]
        else None,
        reason="SMLAD, four filters at a time, two sharing each word",
    )


def _units(stream: Array, inputs: int, *, narrow: bool, per_channel: bool) -> Units:
    """The groups of four filters."""
    return Units.of(
        stream,
        8 if narrow else 16,
        -(-inputs // 4) * 16,
        20 if per_channel else 0,
        channels=_GROUP,
        paired=True,
    )


def _stream(
    filters: Array,
    bias: npt.NDArray[np.int64],
    multipliers: ChannelMultipliers | None,
    *,
    narrow: bool,
) -> npt.NDArray[np.uint32]:
    """All groups of four filters in the order in which the kernel reads them."""
    channels = len(filters)
    fill = -channels % _GROUP
    padded = np.pad(filters, ((0, fill), (0, 0)))
    groups = len(padded) // _GROUP
    pairs = pack_filter_pairs(padded).reshape(groups, 2, -1, 2)  # [group, pair, four inputs, 2]
    weights = pairs.transpose(0, 2, 1, 3).reshape(groups, -1)
    biases = np.pad(bias, (0, fill)).reshape(groups, _GROUP)
    head = np.ascontiguousarray(biases.astype("<i2" if narrow else "<i4")).view("<u4")
    parts = [head.astype(np.uint32), weights]
    if multipliers is not None:
        values = np.pad(multipliers.value, (0, fill)).reshape(groups, _GROUP)
        less_1 = np.pad(-multipliers.shift.astype(np.int64) - 1, (0, fill)).astype(np.uint8)
        parts.append(np.ascontiguousarray(values).view(np.uint32))
        parts.append(less_1.reshape(groups, _GROUP).view("<u4").astype(np.uint32))
    return np.concatenate(parts, axis=1).reshape(-1)
