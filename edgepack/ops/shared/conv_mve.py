"""Lowering of int8 CONV_2D for cores with Helium (firmware/kernels/ep_conv2d_s8_mve.h)."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.coded import store_int4
from edgepack.ops.shared.conv_geometry import (
    WINDOW_STRUCTURE,
    Fields,
    conv_overlaps,
    grows,
    ungrouped,
    window_runs,
)
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

POSITIONS = 2  # output positions that one pass over the weights serves


def lower_conv_mve(
    view: NodeView, geometry: Fields, activation: str, macs: int
) -> KernelCall | None:
    """The Helium kernel's call, or None where its conditions do not hold."""
    conv = ungrouped(view, geometry, activation)
    if conv is None:
        return None
    fields, filters = conv.fields, conv.filters
    multipliers = filters.multipliers
    runs, run = window_runs(fields)
    chunks = -(-runs * run // CHUNK)
    reverse = grows(fields)
    params = Params(
        "ep_conv2d_s8_mve_params",
        (
            *fields.items(),
            ("runs", runs),
            ("run", run),
            ("chunks", chunks),
            ("fill", filters.input_zero),
            *output_fields(view, activation, multipliers),
            ("reverse", reverse),
        ),
        structural=(
            *WINDOW_STRUCTURE,
            *OUTPUT_STRUCTURE,
            "reverse",
        ),
        optional=OUTPUT_OPTIONAL,
    )
    stream = np.concatenate(
        [
            pack_filter_groups(filters.weights),
            group_words(filters.folded),
            group_words(multipliers.value),
            group_bytes(multipliers.shift),
        ],
        axis=1,
    )
    weights = CHUNK * 4 * chunks
    call = KernelCall(
        "ep_conv2d_s8_mve",
        "ep_conv2d_s8_mve.h",
        (params, Input(0), Const("stream", stream.reshape(-1)), Output(0), Scratch("int8_t")),
        scratch_bytes=(POSITIONS * chunks + (run % CHUNK != 0)) * CHUNK,
        overlaps=conv_overlaps(fields, view.input(0).nbytes, POSITIONS, reverse=reverse),
        macs=macs,
        units=Units.of(stream, 0, weights, stream.shape[1] - weights, channels=4, paired=False),
        reason="Helium, four filters by two positions, weights packed in load order",
    )
    return store_int4(call) if filters.packed else call
