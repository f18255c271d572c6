"""Lowering of int8 DEPTHWISE_CONV_2D for cores with SMLAD (ep_depthwise_s8_dsp.h)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_geometry import Fields
from edgepack.ops.shared.filters import Filters, constant_filters
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    KernelCall,
    Output,
    Overlap,
    Params,
    Scratch,
)
from edgepack.ops.shared.scale_word import ScaleWords, reach, scale_words
from edgepack.types import Array

_NARROW = 8  # outputs in a row up to which the loop over them is unrolled
_MAX_TAP_WORDS = 64  # EP_DEPTHWISE_TAPS
_READ_BEYOND = 4  # bytes after the last tap that the kernel may read


def lower_depthwise_dsp(
    view: NodeView, geometry: Fields, activation: str, macs: int
) -> KernelCall | None:
    """The SMLAD kernel's call, or None where its conditions do not hold."""
    g = upright(dict(geometry))
    filters = constant_filters(view, activation, by_last=True)
    if filters is None or not _phases_alone(g):
        return None
    if g["out_w"] == 1 and g["dilation_w"] == 1:
        g["stride_w"] = 2  # one output in a row: no neighbour to share the plane's words with
    row_words = (g["kernel_w"] + 1) // 2
    if row_words * g["kernel_h"] > _MAX_TAP_WORDS:
        return None
    three = g["kernel_h"] == g["kernel_w"] == 3 and g["stride_w"] <= 2
    plane_h, plane_w = _plane(g, row_words, three=three)
    low, high = filters.limits
    scales = _scales(filters)
    bias_type = _bias_type(filters.bias)
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
    params = Params(
        "ep_depthwise_s8_dsp_params",
        (
            *((name, g[name]) for name in ("batches", "in_h", "in_w")),
            ("channels", len(filters.weights)),
            ("depth_multiplier", g["depth_multiplier"]),
            ("out_h", g["out_h"]),
            ("out_w", g["out_w"]),
            *((name, g[name]) for name in (*names, "pad_top", "pad_left")),
            ("plane_h", plane_h),
            ("plane_w", plane_w),
            ("row_words", row_words),
            ("bias_bytes", 0 if bias_type is None else bias_type.itemsize),
            ("shift_mask", 0 if scales is None else scales.mask),
            ("shift_base", 0 if scales is None else scales.base),
            ("fill", filters.input_zero),
            ("output_offset", filters.output_zero),
            ("act_min", low),
            ("act_max", high),
            ("refill", _refill(g)),
            ("any_scale", scales is None),
            ("three", three),
            ("narrow", g["out_w"] <= _NARROW),
            ("relu", low == filters.output_zero),
        ),
        structural=(
            "batches",
            "depth_multiplier",
            "kernel_h",
            "kernel_w",
            "stride_w",
            "dilation_h",
            "dilation_w",
            "act_min",
            "act_max",
            "any_scale",
        ),
        optional=("narrow", "relu"),
    )
    in_place = _in_place(g)
    return KernelCall(
        "ep_depthwise_s8_dsp",
        "ep_depthwise_s8_dsp.h",
        (
            params,
            Input(0),
            Const("stream", _stream(filters, bias_type, scales)),
            Output(0),
            Scratch("int16_t"),
        ),
        scratch_bytes=2 * plane_h * plane_w,
        overlaps=(Overlap(0, 0, 0, "exact"),) if in_place else (),
        macs=macs,
        reason="SMLAD on one channel's widened plane, outputs in pairs"
        + (", in place" if in_place else "")
        + (", the phases of a dilation in turn" if _dilated(g) else ""),
    )


def _dilated(g: dict[str, int]) -> bool:
    return g["dilation_h"] != 1 or g["dilation_w"] != 1


def _phases_alone(g: dict[str, int]) -> bool:
    """Whether each phase of a dilation is a convolution of its own: no stride beside it."""
    return all(g[f"dilation_{axis}"] == 1 or g[f"stride_{axis}"] == 1 for axis in "hw")


def _plane(g: dict[str, int], row_words: int, *, three: bool) -> tuple[int, int]:
    """Height and width (even) that hold the padded input of one phase, and every load."""
    last_y = -(-g["out_h"] // g["dilation_h"]) - 1
    last_x = -(-g["out_w"] // g["dilation_w"]) - 1
    if g["stride_w"] == 1:  # outputs are computed in pairs
        last_x = last_x // 2 * 2 + (0 if three else 1)
    wide = -(-(g["pad_left"] + g["in_w"]) // g["dilation_w"])
    high = -(-(g["pad_top"] + g["in_h"]) // g["dilation_h"])
    width = max(wide, last_x * g["stride_w"] + 2 * row_words)
    return max(high, last_y * g["stride_h"] + g["kernel_h"]), width + width % 2


def _refill(g: dict[str, int]) -> bool:
    """Whether phases differ in which rows or columns of their plane hold inputs."""
    for axis, pad in (("h", g["pad_top"]), ("w", g["pad_left"])):
        step, size = g[f"dilation_{axis}"], g[f"in_{axis}"]
        firsts = [(phase - pad) % step for phase in range(step)]
        if len({((pad + first) // step, len(range(first, size, step))) for first in firsts}) > 1:
            return True
    return False


def _in_place(g: dict[str, int]) -> bool:
    """Whether no output overwrites an input that is still to be read."""
    if g["batches"] != 1 or g["depth_multiplier"] != 1:
        return False
    if not _dilated(g):
        return g["out_h"] * g["out_w"] <= g["in_h"] * g["in_w"]
    # a phase must write where it read
    same = g["out_h"] == g["in_h"] and g["out_w"] == g["in_w"]
    return same and g["pad_top"] % g["dilation_h"] == 0 == g["pad_left"] % g["dilation_w"]


def _scales(filters: Filters) -> ScaleWords | None:
    """Multipliers that hold their shifts, or None where not all can."""
    if not filters.fast:
        return None
    span = reach(filters.weights, filters.bias, filters.input_zero)
    return scale_words(filters.multipliers, span, filters.output_zero, filters.limits)


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
    filters: Filters, bias_type: np.dtype[Any] | None, scales: ScaleWords | None
) -> npt.NDArray[np.uint8]:
    """Everything that a channel needs, as the kernel reads it."""
    words = filters.multipliers.value if scales is None else scales.words
    parts = [_bytes(words.astype("<u4"))]
    if scales is None:
        parts.append(_bytes(filters.multipliers.shift.astype(np.int8)))
    if filters.bias is not None and bias_type is not None:
        parts.append(_bytes(filters.bias.astype(bias_type)))
    parts.append(np.ascontiguousarray(filters.weights.astype(np.int8)).view(np.uint8))
    stream = np.concatenate(parts, axis=1).reshape(-1)
    return np.pad(stream, (0, _READ_BEYOND + -(len(stream) + _READ_BEYOND) % 4))


def _bytes(values: Array) -> npt.NDArray[np.uint8]:
    """One row for each channel."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
