"""Lowering of int8 DEPTHWISE_CONV_2D for cores with a multiplier only (ep_depthwise_s8_mul.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_geometry import Fields
from edgepack.ops.shared.depthwise_dsp import upright
from edgepack.ops.shared.filters import constant_filters
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    Isa,
    KernelCall,
    Output,
    Overlap,
    Params,
    Scratch,
)
from edgepack.ops.shared.mul import MulFilters, mul_filters

_BLOCK = 4  # words whose outputs are computed together
_REASON = {
    True: "SMLAL on pairs of outputs, one channel's rows in a ring",
    False: "32-bit products, four outputs at a time, one channel's rows in a ring",
}


def lower_depthwise_mul(
    view: NodeView, geometry: Fields, activation: str, macs: int, isa: Isa
) -> KernelCall | None:
    """The kernel's call, or None where its conditions do not hold."""
    g = upright(dict(geometry))
    given = constant_filters(view, activation, by_last=True)
    mul64 = isa.has("mul64")
    filters = None if given is None else mul_filters(given, mul64=mul64)
    if given is None or filters is None:
        return None
    half = (g["out_w"] + 1) // 2 if mul64 else g["out_w"]
    ring_h = (g["kernel_h"] - 1) * g["dilation_h"] + 1
    reach = (g["kernel_w"] - 1) * g["dilation_w"] // g["stride_w"]
    phase_len = -(-half // _BLOCK) * _BLOCK + reach
    low, high = given.limits
    params = Params(
        "ep_depthwise_s8_mul_params",
        (
            *((name, g[name]) for name in ("batches", "in_h", "in_w")),
            ("channels", len(given.weights)),
            ("depth_multiplier", g["depth_multiplier"]),
            *((name, g[name]) for name in ("out_h", "out_w", "kernel_h", "kernel_w")),
            *((name, g[name]) for name in ("stride_h", "stride_w", "dilation_h", "dilation_w")),
            *((name, g[name]) for name in ("pad_top", "pad_left")),
            ("half", half),
            ("ring_h", ring_h),
            ("phase_len", phase_len),
            ("fill", given.input_zero),
            ("output_offset", given.output_zero),
            ("act_min", low),
            ("act_max", high),
            ("three", g["kernel_h"] == g["kernel_w"] == 3),
            ("mul64", mul64),
            ("clamp", filters.clamp),
        ),
        structural=(
            "batches",
            "depth_multiplier",
            "stride_w",
            "dilation_w",
            "three",
            "mul64",
        ),
    )
    return KernelCall(
        "ep_depthwise_s8_mul",
        "ep_depthwise_s8_mul.h",
        (
            params,
            Input(0),
            Const("stream", _stream(filters)),
            Output(0),
            Scratch("int32_t"),
        ),
        scratch_bytes=4 * ring_h * g["stride_w"] * phase_len,
        overlaps=(Overlap(0, 0, 0, "exact"),) if _in_place(g, ring_h) else (),
        macs=macs,
        cheap_to_share=True,
        reason=_REASON[mul64],
    )


def _in_place(g: dict[str, int], ring_h: int) -> bool:
    """Whether no output row overwrites input rows of its channel that are not in the ring yet."""
    if g["batches"] != 1 or g["depth_multiplier"] != 1:
        return False
    if g["out_h"] * g["out_w"] > g["in_h"] * g["in_w"]:
        return False
    for oy in range(g["out_h"]):
        unread = max(0, oy * g["stride_h"] + ring_h - g["pad_top"])
        if unread < g["in_h"] and (oy + 1) * g["out_w"] > unread * g["in_w"]:
            return False
    return True


def _stream(filters: MulFilters) -> npt.NDArray[np.uint32]:
    """Start, shift and multiplier of every channel, then the taps, as the kernel reads them."""
    heads = np.stack([filters.heads, filters.factors], axis=1).reshape(-1)
    taps = np.ascontiguousarray(filters.weights).reshape(-1)
    padded = np.pad(taps, (0, -taps.size % 4))
    return np.concatenate([heads, padded.view("<u4").astype(np.uint32)])
