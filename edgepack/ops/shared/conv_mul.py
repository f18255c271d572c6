"""Lowering of int8 CONV_2D for cores with a multiplier only (ep_conv2d_s8_mul.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.coded import store_int4
from edgepack.ops.shared.conv_geometry import Fields, conv_overlaps, grows, is_pointwise, ungrouped
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    Isa,
    KernelCall,
    Output,
    Params,
    Scratch,
    Units,
)
from edgepack.ops.shared.mul import MulFilters, mul_filters

_WORDS = 4  # words of a block per input
_REASON = {
    True: "SMLAL on pairs of positions, eight positions at a time",
    False: "32-bit products, four positions at a time",
}


def lower_conv_mul(
    view: NodeView, geometry: Fields, activation: str, macs: int, isa: Isa
) -> KernelCall | None:
    """The kernel's call, or None where its conditions do not hold."""
    conv = ungrouped(view, geometry, activation)
    if conv is None:
        return None
    fields, given = conv.fields, conv.filters
    mul64 = isa.has("mul64")
    filters = mul_filters(given, mul64=mul64)
    if filters is None and mul64:
        mul64 = False
        filters = mul_filters(given, mul64=mul64)
    if filters is None:
        return None
    low, high = given.limits
    reverse = grows(fields)
    k = -(-given.weights.shape[1] // 4) * 4
    stream = block_stream(filters, mul64=mul64)
    params = Params(
        "ep_conv2d_s8_mul_params",
        (
            *fields.items(),
            ("k", k),
            ("fill", given.input_zero),
            ("output_offset", given.output_zero),
            ("act_min", low),
            ("act_max", high),
            ("mul64", mul64),
            ("pointwise", is_pointwise(fields)),
            ("clamp", filters.clamp),
            ("reverse", reverse),
        ),
        structural=("batches", "dilation_w", "mul64", "pointwise"),
    )
    call = KernelCall(
        "ep_conv2d_s8_mul",
        "ep_conv2d_s8_mul.h",
        (
            params,
            Input(0),
            Const("stream", stream),
            Output(0),
            Scratch("int32_t"),
        ),
        scratch_bytes=4 * _WORDS * k,
        overlaps=conv_overlaps(fields, view.input(0).nbytes, 8 if mul64 else 4, reverse=reverse),
        macs=macs,
        cheap_to_share=True,
        units=Units.of(stream, 4, k, 4, channels=1, paired=False),
        reason=_REASON[mul64],
    )
    return store_int4(call) if given.packed else call


def block_stream(filters: MulFilters, *, mul64: bool) -> npt.NDArray[np.uint32]:
    """Everything that a filter needs, in the order in which ep_block_mul.h reads it."""
    weights = filters.weights
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4)))
    if not mul64:
        padded = (padded.astype(np.int16) + 128).astype(np.uint8)
    words = np.ascontiguousarray(padded).view("<u4").astype(np.uint32)
    parts = [filters.heads[:, None], words, filters.factors[:, None]]
    return np.concatenate(parts, axis=1).reshape(-1)
