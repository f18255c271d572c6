"""Lowering of int8 DEPTHWISE_CONV_2D for cores with SMLAD (ep_depthwise_s8_dsp.h)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_dsp import fast_requantization
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
from edgepack.ops.shared.requant import channel_multipliers
from edgepack.ops.shared.scale_word import ScaleWords, reach, scale_words
from edgepack.types import Array, DType

_NARROW = 8  # outputs in a row up to which the loop over them is unrolled
_MAX_TAP_WORDS = 64  # EP_DEPTHWISE_TAPS
_READ_BEYOND = 4  # bytes after the last tap that the kernel may read


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
    row_words = (g["kernel_w"] + 1) // 2
    if row_words * g["kernel_h"] > _MAX_TAP_WORDS:
        return None
    taps = filters.reshape(channels, g["kernel_h"], g["kernel_w"])
    three = g["kernel_h"] == g["kernel_w"] == 3 and g["stride_w"] <= 2
    last = g["out_w"] - 1
    if g["stride_w"] == 1:  # outputs are computed in pairs
        last = last // 2 * 2 + (0 if three else 1)
    plane_w = max(g["pad_left"] + g["in_w"], last * g["stride_w"] + 2 * row_words)
    plane_w += plane_w % 2
    plane_h = max(g["pad_top"] + g["in_h"], (g["out_h"] - 1) * g["stride_h"] + g["kernel_h"])
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    span = reach(filters, stored_bias, x.zero_point)
    scales = scale_words(multipliers, span, out.zero_point, (low, high))
    if scales is None:
        return None
    bias_type = _bias_type(stored_bias)
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
            ("bias_bytes", 0 if bias_type is None else bias_type.itemsize),
            ("shift_mask", scales.mask),
            ("shift_base", scales.base),
            ("fill", x.zero_point),
            ("output_offset", out.zero_point),
            ("act_min", low),
            ("act_max", high),
            ("three", three),
            ("narrow", g["out_w"] <= _NARROW),
            ("relu", low == out.zero_point),
        ),
        structural=(
            "batches",
            "kernel_h",
            "kernel_w",
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
            Const("stream", _stream(taps, stored_bias, bias_type, scales)),
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


def _bias_type(bias: Array | None) -> np.dtype[Any] | None:
    """The narrowest type that holds the biases; None where all are 0."""
    if bias is None or not bias.any():
        return None
    return np.dtype("<i2" if bias.min() >= -(1 << 15) and bias.max() < 1 << 15 else "<i4")


def _stream(
    taps: Array,
    bias: Array | None,
    bias_type: np.dtype[Any] | None,
    scales: ScaleWords,
) -> npt.NDArray[np.uint8]:
    """Everything that a channel [kernel_h, kernel_w] needs, as the kernel reads it."""
    channels = len(taps)
    parts = [np.ascontiguousarray(scales.words.astype("<u4")).view(np.uint8).reshape(channels, 4)]
    if bias is not None and bias_type is not None:
        parts.append(np.ascontiguousarray(bias.reshape(-1, 1).astype(bias_type)).view(np.uint8))
    parts.append(np.ascontiguousarray(taps.reshape(channels, -1)).view(np.uint8))
    stream = np.concatenate(parts, axis=1).reshape(-1)
    return np.pad(stream, (0, _READ_BEYOND + -(len(stream) + _READ_BEYOND) % 4))
