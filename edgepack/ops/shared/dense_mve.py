"""Lowering of int8 FULLY_CONNECTED for cores with Helium (ep_fully_connected_s8_mve.h)."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.filters import constant_filters
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


def lower_dense_mve(
    view: NodeView, multipliers: ChannelMultipliers, activation: str, macs: int
) -> KernelCall | None:
    """The Helium kernel's call, or None where its conditions do not hold."""
    filters = constant_filters(view, activation, multipliers=multipliers)
    if filters is None or filters.packed:  # 4-bit: decoding costs what the portable kernel does
        return None
    channels, inputs = filters.weights.shape
    elements = view.input(0).elements
    per_channel = multipliers.value.size > 1
    parts = [pack_filter_groups(filters.weights), group_words(filters.folded)]
    if per_channel:
        parts += [group_words(multipliers.value), group_bytes(multipliers.shift)]
    params = Params(
        "ep_fully_connected_s8_mve_params",
        (
            ("batches", elements // inputs),
            ("in_n", inputs),
            ("out_n", channels),
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
        if elements == inputs
        else None,
        reason="Helium, four filters at a time, weights packed in load order",
        cheap_to_share=True,
    )
