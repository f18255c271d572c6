"""Lowering of int8 FULLY_CONNECTED without DSP extensions (ep_fully_connected_s8_mul.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.filters import constant_filters
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Output, Params, Units
from edgepack.ops.shared.mul import MulFilters, mul_filters
from edgepack.ops.shared.requant import ChannelMultipliers

_FEW_MACS = 1000  # below, the portable kernel's smaller code is worth more
_FIELD = 24  # bits between the fields of mul64's products
_REASON = {
    True: "SMLAL on two inputs at once, three filters at a time",
    False: "32-bit products, four filters at a time",
}


def lower_dense_mul(
    view: NodeView, multipliers: ChannelMultipliers, activation: str, macs: int, isa: Isa
) -> KernelCall | None:
    """The kernel's call, or None where its conditions do not hold."""
    given = constant_filters(view, activation, multipliers=multipliers)
    if given is None or (macs < _FEW_MACS and isa.optimize != "speed"):
        return None
    if given.packed:  # each weight is used once: decoding costs what the portable kernel does
        return None
    mul64 = isa.has("mul64")
    filters = mul_filters(given, mul64=mul64)
    if filters is None or (mul64 and not _fields_fit(filters)):
        return None
    per_channel = multipliers.value.size > 1
    low, high = given.limits
    channels, inputs = given.weights.shape
    one_row = view.input(0).elements == inputs
    params = Params(
        "ep_fully_connected_s8_mul_params",
        (
            ("batches", view.input(0).elements // inputs),
            ("in_n", inputs),
            ("out_n", channels),
            ("output_offset", given.output_zero),
            ("multiplier", 0 if per_channel else int(multipliers.value[0])),
            ("shift", 1 if per_channel else -int(multipliers.shift[0])),
            ("act_min", low),
            ("act_max", high),
            ("per_channel", per_channel),
            ("mul64", mul64),
            ("clamp", filters.clamp),
        ),
        structural=("batches", "per_channel", "mul64"),
    )
    stream = _stream(filters, per_channel=per_channel, mul64=mul64)
    return KernelCall(
        "ep_fully_connected_s8_mul",
        "ep_fully_connected_s8_mul.h",
        (params, Input(0), Const("stream", stream), Output(0)),
        macs=macs,
        cheap_to_share=True,
        units=_units(stream, filters, per_channel=per_channel, mul64=mul64) if one_row else None,
        reason=_REASON[mul64],
    )


def _fields_fit(filters: MulFilters) -> bool:
    """Whether the products below the wanted field stay below it, and the sums inside it."""
    wide = filters.weights.astype(np.int64)
    odd = np.pad(wide, ((0, 0), (0, -wide.shape[1] % 4)))[:, 1::2] + 128
    reach = np.abs(wide).sum(axis=1) * 128 + np.abs(filters.start.astype(np.int64))
    below = odd.sum(axis=1) * 255
    return bool((below < 1 << _FIELD).all() and (reach < 1 << (_FIELD - 1)).all())


def _units(
    stream: npt.NDArray[np.uint32], filters: MulFilters, *, per_channel: bool, mul64: bool
) -> Units:
    """The groups of filters."""
    group, inputs = (3, -(-filters.weights.shape[1] // 4) * 4)
    if not mul64:
        group, inputs = 4, filters.weights.shape[1]
    after = 4 * group + 4 if per_channel else 0
    return Units.of(stream, 4 * group, group * inputs, after, channels=group, paired=False)


def _stream(filters: MulFilters, *, per_channel: bool, mul64: bool) -> npt.NDArray[np.uint32]:
    """All groups of filters in the order in which the kernel reads them."""
    group = 3 if mul64 else 4
    wide = filters.weights.astype(np.int64)
    channels = len(wide)
    fill = -channels % group
    start = filters.start.astype(np.int64)
    if mul64:
        wide = np.pad(wide, ((0, 0), (0, -wide.shape[1] % 4)))
        start = start - 128 * wide[:, 0::2].sum(axis=1)
        wide[:, 1::2] += 128
        blocks = np.pad(wide, ((0, fill), (0, 0))).reshape(-1, group, wide.shape[1] // 4, 4)
        ordered = blocks.transpose(0, 2, 1, 3)[..., ::-1]
    else:
        padded = np.pad(wide, ((0, fill), (0, 0))) + 128
        ordered = padded.reshape(-1, group, wide.shape[1]).transpose(0, 2, 1)
    groups = len(ordered)
    weights = np.ascontiguousarray((ordered & 0xFF).astype(np.uint8).reshape(groups, -1))
    starts = np.pad(start, (0, fill)).reshape(groups, group) & 0xFFFFFFFF
    parts = [starts.astype(np.uint32), weights.view("<u4").astype(np.uint32)]
    if per_channel:
        shifts = np.pad(-filters.multipliers.shift.astype(np.int64), (0, fill), constant_values=1)
        four = np.pad(shifts.reshape(groups, group), ((0, 0), (0, 4 - group))).astype(np.uint8)
        parts.append(np.pad(filters.factors, (0, fill)).reshape(groups, group))
        parts.append(np.ascontiguousarray(four).view("<u4").astype(np.uint32))
    return np.concatenate(parts, axis=1).reshape(-1)
