"""Lowering of int8 DEPTHWISE_CONV_2D for cores with SMLAD (ep_depthwise_s8_dsp.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_dsp import fast_requantization, fold_zero_point
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    KernelCall,
    Output,
    Overlap,
    Params,
    Scratch,
)
from edgepack.ops.shared.requant import ChannelMultipliers, channel_multipliers
from edgepack.types import Array, DType

_NARROW = 8  # outputs in a row up to which the loop over them is unrolled
_MAX_TAP_WORDS = 64  # EP_DEPTHWISE_TAPS


def lower_depthwise_dsp(
    view: NodeView, geometry: tuple[tuple[str, int], ...], activation: str, macs: int
) -> KernelCall | None:
    """The SMLAD kernel's call, or None where its conditions do not hold."""
    x, w, out, bias = view.input(0), view.input(1), view.output(), view.optional(2)
    g = upright(dict(geometry))
    if g["out_w"] == 1:
        g["stride_w"] = 2  # one output in a row: no neighbour to share the plane's words with
    if x.dtype is not DType.INT8 or w.dtype is not DType.INT8 or w.data is None:
        return None
    if g["depth_multiplier"] != 1 or g["dilation_h"] != 1 or g["dilation_w"] != 1:
        return None
    if (bias is not None and bias.data is None) or (g["stride_w"] > 1 and g["stride_w"] % 2):
        return None
    channels = g["in_c"]
    filters = w.data.reshape(-1, channels).T
    stored_bias = None if bias is None else bias.data
    multipliers = channel_multipliers(x, w, out, channels)
    if not fast_requantization(filters, stored_bias, multipliers, x.zero_point, out.zero_point):
        return None
    row_words = _row_words(g["kernel_w"], g["stride_w"])
    if row_words * g["kernel_h"] * (2 if g["stride_w"] == 1 else 1) > _MAX_TAP_WORDS:
        return None
    taps = filters.reshape(channels, g["kernel_h"], g["kernel_w"])
    bias_words = fold_zero_point(filters, stored_bias, x.zero_point)
    last_pair = (g["out_w"] - 1) // 2 * 2 if g["stride_w"] == 1 else g["out_w"] - 1
    plane_w = max(g["pad_left"] + g["in_w"], last_pair * g["stride_w"] + 2 * row_words)
    plane_w += plane_w % 2
    plane_h = max(g["pad_top"] + g["in_h"], (g["out_h"] - 1) * g["stride_h"] + g["kernel_h"])
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left")
    params = Params(
        "ep_depthwise_s8_dsp_params",
        (
            ("batches", g["batches"]),
            ("in_h", g["in_h"]),
            ("in_w", g["in_w"]),
            ("channels", channels),
            ("out_h", g["out_h"]),
            ("out_w", g["out_w"]),
            *((name, g[name]) for name in names),
            ("plane_h", plane_h),
            ("plane_w", plane_w),
            ("row_words", row_words),
            ("row_bytes", _row_bytes(g["kernel_w"])),
            ("fill", x.zero_point),
            ("output_offset", out.zero_point),
            ("act_min", low),
            ("act_max", high),
            ("narrow", g["out_w"] <= _NARROW),
            ("relu", low == out.zero_point),
        ),
        structural=(
            "batches",
            "kernel_h",
            "kernel_w",
            "stride_h",
            "stride_w",
            "act_min",
            "act_max",
        ),
        optional=("narrow", "relu"),
    )
    in_place = g["batches"] == 1 and out.nbytes <= x.nbytes
    return KernelCall(
        "ep_depthwise_s8_dsp",
        "ep_depthwise_s8_dsp.h",
        (
            params,
            Input(0),
            Const("stream", _stream(taps, bias_words, multipliers)),
            Output(0),
            Scratch("int16_t"),
        ),
        scratch_bytes=2 * plane_h * plane_w,
        overlaps=(Overlap(0, 0, 0, "exact"),) if in_place else (),
        macs=macs,
        reason="SMLAD on one channel's widened plane, outputs in pairs, in place",
    )


def upright(g: dict[str, int]) -> dict[str, int]:
    """A convolution along the height alone, turned so that it runs along the width."""
    if g["in_w"] != 1 or g["kernel_w"] != 1 or g["out_w"] != 1 or g["pad_left"]:
        return g
    turned = dict(g)
    for a, b in (
        ("in_h", "in_w"),
        ("out_h", "out_w"),
        ("kernel_h", "kernel_w"),
        ("stride_h", "stride_w"),
        ("dilation_h", "dilation_w"),
        ("pad_top", "pad_left"),
    ):
        turned[a], turned[b] = g[b], g[a]
    return turned


def _row_words(kernel_w: int, stride_w: int) -> int:
    return kernel_w // 2 + 1 if stride_w == 1 else (kernel_w + 1) // 2


def _row_bytes(kernel_w: int) -> int:
    """Bytes of a row of taps: whole words with at least one to spare."""
    return (kernel_w // 4 + 1) * 4


def _stream(
    taps: Array, bias: npt.NDArray[np.int32], multipliers: ChannelMultipliers
) -> npt.NDArray[np.uint32]:
    """Bias, multiplier and taps [channels, kernel_h, kernel_w] per channel, as the kernel reads."""
    channels, kernel_h, kernel_w = taps.shape
    rows = np.zeros((channels, kernel_h, _row_bytes(kernel_w)), np.int8)
    rows[:, :, :kernel_w] = taps
    rows[:, 0, -1] = -multipliers.shift - 1
    words = np.ascontiguousarray(rows.reshape(channels, -1)).view("<u4").astype(np.uint32)
    head = np.stack([bias.view(np.uint32), multipliers.value.view(np.uint32)], axis=1)
    return np.concatenate([head, words], axis=1).reshape(-1)
