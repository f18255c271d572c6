"""Lowering of int8 CONV_2D for cores with Helium (firmware/kernels/ep_conv2d_s8_mve.h)."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_dsp import fold_zero_point
from edgepack.ops.shared.conv_geometry import conv_overlaps, is_pointwise, window_runs
from edgepack.ops.shared.kernel import Const, Input, KernelCall, Output, Params, Scratch, Units
from edgepack.ops.shared.mve import (
    CHUNK,
    OUTPUT_OPTIONAL,
    OUTPUT_STRUCTURE,
    group_bytes,
    group_words,
    output_fields,
    pack_filter_groups,
)
from edgepack.ops.shared.requant import channel_multipliers
from edgepack.types import DType

POSITIONS = 2  # output positions that one pass over the weights serves


def lower_conv_mve(
    view: NodeView, geometry: tuple[tuple[str, int], ...], activation: str, macs: int
) -> KernelCall | None:
    """The Helium kernel's call, or None where its conditions do not hold."""
    x, w, out, bias = view.input(0), view.input(1), view.output(), view.optional(2)
    fields = dict(geometry)
    if x.dtype is not DType.INT8 or w.dtype is not DType.INT8 or w.data is None:
        return None
    if fields["group_c"] != fields["in_c"] or (bias is not None and bias.data is None):
        return None
    multipliers = channel_multipliers(x, w, out, out.shape[-1])
    filters = w.data.reshape(w.shape[0], -1)
    folded = fold_zero_point(filters, None if bias is None else bias.data, x.zero_point)
    runs, run = window_runs(fields)
    chunks = -(-runs * run // CHUNK)
    reverse = is_pointwise(fields) and fields["out_c"] > fields["in_c"]
    del fields["group_c"]
    params = Params(
        "ep_conv2d_s8_mve_params",
        (
            *fields.items(),
            ("runs", runs),
            ("run", run),
            ("chunks", chunks),
            ("fill", x.zero_point),
            *output_fields(view, activation, multipliers),
            ("reverse", reverse),
        ),
        structural=(
            "batches",
            "kernel_h",
            "kernel_w",
            "stride_h",
            "stride_w",
            "dilation_h",
            "dilation_w",
            "pad_top",
            "pad_left",
            *OUTPUT_STRUCTURE,
            "reverse",
        ),
        optional=OUTPUT_OPTIONAL,
    )
    stream = np.concatenate(
        [
            pack_filter_groups(filters),
            group_words(folded),
            group_words(multipliers.value),
            group_bytes(multipliers.shift),
        ],
        axis=1,
    )
    weights = CHUNK * 4 * chunks
    return KernelCall(
        "ep_conv2d_s8_mve",
        "ep_conv2d_s8_mve.h",
        (params, Input(0), Const("stream", stream.reshape(-1)), Output(0), Scratch("int8_t")),
        scratch_bytes=(POSITIONS * chunks + (run % CHUNK != 0)) * CHUNK,
        overlaps=conv_overlaps(fields, x.nbytes, POSITIONS, reverse=reverse),
        macs=macs,
        units=Units.of(stream, 0, weights, stream.shape[1] - weights, channels=4, paired=False),
        reason="Helium, four filters by two positions, weights packed in load order",
    )
