"""Lowering of int8 CONV_2D for cores with SMLAD (firmware/kernels/ep_conv2d_s8_dsp.h)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_geometry import (
    WINDOW_STRUCTURE,
    Fields,
    conv_overlaps,
    grows,
    ungrouped,
    window_runs,
)
from edgepack.ops.shared.dsp_units import BYTES, DspUnits, paired_units, single_units
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    KernelCall,
    Output,
    Params,
    Scratch,
    Units,
)

_LONG_ENOUGH_FOR_EIGHTS = 32  # words; below, fewer turns of the loop do not pay for the code
POSITIONS = 4  # output positions that one pass over the weights serves
_FEW_POSITIONS = 64  # up to here the last block is more than 3 % of the work
_LONG_COLUMN = 20  # words from which the inner loop outweighs all that depends on parameters
_REASONS = (
    "SMLAD, two filters by four positions, weights packed in load order",
    "SMLAD, one filter by four positions, as two filters do not fit one word",
    "SMLAD, one filter by four positions, 4-bit weights used where they lie",
)
_STRUCTURAL = (
    *WINDOW_STRUCTURE,
    "act_min",
    "act_max",
    "singles",
    "scaled",
    "layout",
    "any_scale",
)


def lower_conv_dsp(
    view: NodeView, geometry: Fields, activation: str, macs: int
) -> KernelCall | None:
    """The SMLAD kernel's call, or None where its conditions do not hold."""
    conv = ungrouped(view, geometry, activation)
    if conv is None:
        return None
    fields, filters = conv.fields, conv.filters
    runs, run = window_runs(fields)
    order = _column_order(runs, run)
    units = paired_units(filters, order) or single_units(filters, order)
    if units is None:
        return None
    k_pairs = -(-order.size // 4) * 2
    rest, few = _tail(fields)
    reverse = grows(fields)
    low, high = filters.limits
    even = units.layout or fields["out_c"] % 2 == 0
    params = Params(
        "ep_conv2d_s8_dsp_params",
        (
            *fields.items(),
            ("runs", runs),
            ("run", run),
            ("k_pairs", k_pairs),
            ("input_offset", -filters.input_zero if units.scaled else 0),
            ("fill", 0 if units.scaled else filters.input_zero),
            ("output_offset", filters.output_zero),
            ("act_min", low),
            ("act_max", high),
            ("shift_mask", units.shift_mask),
            ("shift_base", units.shift_base),
            ("layout", units.layout),
            ("scaled", units.scaled),
            ("narrow", units.narrow),
            ("any_scale", units.any_scale),
            ("singles", rest > 0 and not few),
            ("partial", rest > 0 and few),
            ("whole", bool(run % 4 == 0 and k_pairs % 4 == 0 and even)),
            ("eights", k_pairs % 8 == 0 and k_pairs >= _LONG_ENOUGH_FOR_EIGHTS),
            ("relu", low == filters.output_zero),
            ("reverse", reverse),
        ),
        structural=_STRUCTURAL,
        optional=("whole", "eights", "relu"),
    )
    return KernelCall(
        "ep_conv2d_s8_dsp",
        "ep_conv2d_s8_dsp.h",
        (
            params,
            Input(0),
            Const("stream", units.stream),
            Output(0),
            Scratch("uint32_t"),
        ),
        scratch_bytes=4 * POSITIONS * k_pairs,
        overlaps=conv_overlaps(fields, view.input(0).nbytes, POSITIONS, reverse=reverse),
        macs=macs,
        cheap_to_share=k_pairs >= _LONG_COLUMN,
        units=_coded_units(units, k_pairs),
        reason=_REASONS[units.layout],
    )


def _coded_units(units: DspUnits, k_pairs: int) -> Units | None:
    """The units that may be stored coded; 4-bit weights are small already."""
    if units.layout > BYTES:
        return None
    if units.layout == BYTES:
        after = 8 if units.any_scale else 4
        return Units.of(units.stream, 4, 2 * k_pairs, after, channels=1, paired=False)
    before = 4 if units.narrow else 8
    return Units.of(units.stream, before, 4 * k_pairs, 8, channels=2, paired=True)


def _column_order(runs: int, run: int) -> npt.NDArray[np.int64]:
    """Position in a column -> input of the window: whole words of every run, then the rest."""
    k = np.arange(runs * run).reshape(runs, run)
    whole = run // 4 * 4
    return np.concatenate([k[:, :whole].reshape(-1), k[:, whole:].reshape(-1)])


def _tail(g: dict[str, int]) -> tuple[int, bool]:
    """Positions after the last four, and whether they are computed as a block.

    A block computes four and keeps fewer: worth it only where three or two of few are kept.
    """
    positions = g["out_h"] * g["out_w"]
    rest = positions % POSITIONS
    return rest, rest > 1 and positions < _FEW_POSITIONS
