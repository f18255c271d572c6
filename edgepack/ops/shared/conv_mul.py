"""Lowering of int8 CONV_2D for cores with a multiplier only (ep_conv2d_s8_mul.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_geometry import conv_overlaps, is_pointwise
from edgepack.ops.shared.fixed_point import activation_range
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
from edgepack.ops.shared.requant import channel_multipliers
from edgepack.types import DType

_WORDS = 4  # words of a block per input
_REASON = {
    True: "SMLAL on pairs of positions, eight positions at a time",
    False: "32-bit products, four positions at a time",
}


def lower_conv_mul(
    view: NodeView, geometry: tuple[tuple[str, int], ...], activation: str, macs: int, isa: Isa
) -> KernelCall | None:
    """The kernel's call, or None where its conditions do not hold."""
    x, w, out = view.input(0), view.input(1), view.output()
    fields = dict(geometry)
    if w.dtype is not DType.INT8 or w.data is None or fields["group_c"] != fields["in_c"]:
        return None
    weights = w.data.reshape(w.shape[0], -1)
    multipliers = channel_multipliers(x, w, out, out.shape[-1])
    mul64 = isa.has("mul64")
    filters = mul_filters(view, weights, multipliers, mul64=mul64)
    if filters is None and mul64:
        mul64 = False
        filters = mul_filters(view, weights, multipliers, mul64=mul64)
    if filters is None:
        return None
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    pointwise = is_pointwise(fields)
    reverse = pointwise and fields["out_c"] > fields["in_c"]
    k = -(-weights.shape[1] // 4) * 4
    del fields["group_c"]
    stream = block_stream(filters, mul64=mul64)
    params = Params(
        "ep_conv2d_s8_mul_params",
        (
            *fields.items(),
            ("k", k),
            ("fill", x.zero_point),
            ("output_offset", out.zero_point),
            ("act_min", low),
            ("act_max", high),
            ("mul64", mul64),
            ("pointwise", pointwise),
            ("clamp", filters.clamp),
            ("reverse", reverse),
        ),
        structural=("batches", "dilation_w", "mul64", "pointwise"),
    )
    return KernelCall(
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
        overlaps=conv_overlaps(fields, x.nbytes, 8 if mul64 else 4, reverse=reverse),
        macs=macs,
        cheap_to_share=True,
        units=Units.of(stream, 4, k, 4, channels=1, paired=False),
        reason=_REASON[mul64],
    )


def block_stream(filters: MulFilters, *, mul64: bool) -> npt.NDArray[np.uint32]:
    """Everything that a filter needs, in the order in which ep_block_mul.h reads it."""
    weights = filters.weights
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4)))
    if not mul64:
        padded = (padded.astype(np.int16) + 128).astype(np.uint8)
    words = np.ascontiguousarray(padded).view("<u4").astype(np.uint32)
    parts = [filters.heads[:, None], words, filters.factors[:, None]]
    return np.concatenate(parts, axis=1).reshape(-1)
