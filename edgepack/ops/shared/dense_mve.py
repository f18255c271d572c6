"""Lowering of int8 FULLY_CONNECTED for cores with Helium (ep_fully_connected_s8_mve.h)."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_dsp import fold_zero_point
from edgepack.ops.shared.kernel import Const, Input, KernelCall, Output, Params, Units
from edgepack.ops.shared.mve import (
    OUTPUT_OPTIONAL,
    OUTPUT_STRUCTURE,
    group_bytes,
    group_words,
    output_fields,
    pack_filter_groups,
)
from edgepack.ops.shared.requant import ChannelMultipliers
from edgepack.types import DType


def lower_dense_mve(
    view: NodeView, multipliers: ChannelMultipliers, activation: str, macs: int
) -> KernelCall | None:
    """The Helium kernel's call, or None where its conditions do not hold."""
    x, w, bias = view.input(0), view.input(1), view.optional(2)
    if x.dtype is not DType.INT8 or w.dtype is not DType.INT8 or w.data is None:
        return None
    if bias is not None and bias.data is None:
        return None
    stored = None if bias is None or bias.data is None else bias.data.reshape(-1)
    per_channel = multipliers.value.size > 1
    parts = [pack_filter_groups(w.data), group_words(fold_zero_point(w.data, stored, x.zero_point))]
    if per_channel:
        parts += [group_words(multipliers.value), group_bytes(multipliers.shift)]
    params = Params(
        "ep_fully_connected_s8_mve_params",
        (
            ("batches", x.elements // w.shape[1]),
            ("in_n", w.shape[1]),
            ("out_n", w.shape[0]),
            ("multiplier", 0 if per_channel else int(multipliers.value[0])),
            ("shift", 0 if per_channel else int(multipliers.shift[0])),
            ("per_channel", per_channel),
            *output_fields(view, activation, multipliers),
        ),
        structural=("batches", "per_channel", *OUTPUT_STRUCTURE),
        optional=OUTPUT_OPTIONAL,
    )
    stream = np.concatenate(parts, axis=1)
    weights = parts[0].shape[1]
    return KernelCall(
        "ep_fully_connected_s8_mve",
        "ep_fully_connected_s8_mve.h",
        (
            params,
            Input(0),
            Const("stream", stream.reshape(-1)),
            Output(0),
        ),
        macs=macs,
        units=Units.of(stream, 0, weights, stream.shape[1] - weights, channels=4, paired=False)
        if x.elements == w.shape[1]
        else None,
        reason="Helium, four filters at a time, weights packed in load order",
        cheap_to_share=True,
    )
