"""Weights of which most are zero, stored and multiplied without these (ep_sparse.h).

A lowering offers its call in this form beside the plain one; emit/coding.py chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.conv_geometry import (
    WINDOW_STRUCTURE,
    Fields,
    conv_overlaps,
    ungrouped,
)
from edgepack.ops.shared.filters import Filters, constant_filters
from edgepack.ops.shared.kernel import (
    Const,
    Input,
    Isa,
    KernelCall,
    Output,
    Overlap,
    Params,
    Scratch,
    Sparse,
)
from edgepack.ops.shared.requant import ChannelMultipliers
from edgepack.ops.shared.sparse_costs import is_known, plain_instructions, sparse_costs
from edgepack.ops.shared.weighted import requant_operands

_LONGEST = 255  # a gap
_FULL = 0.7  # share of weights that are not zero from which no form is smaller than a byte each
_POSITIONS = 4  # of a convolution, computed together


@dataclass(frozen=True, eq=False)
class Entries:
    """What is stored of a matrix of weights.

    Args:
        counts: uint16 [filters]; gaps: uint8 [entries]; weights: int8 [entries * block].
        block: weights of an entry.
    """

    counts: npt.NDArray[np.uint16]
    gaps: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.int8]
    block: int

    @property
    def nbytes(self) -> int:
        """Bytes of flash."""
        return self.counts.nbytes + self.gaps.nbytes + self.weights.nbytes


def encode_entries(weights: npt.NDArray[np.int8], block: int) -> Entries:
    """The entries of filters.

    Args:
        weights: [filters, inputs]; inputs a multiple of `block`, at most 65,535.
        block: weights of an entry, which are stored if any is not zero.
    """
    blocks = weights.reshape(len(weights), -1, block)
    counts, gaps, stored = [], [], []
    for row in blocks:
        last = count = 0
        for position in np.flatnonzero(row.any(axis=1)).tolist():
            while position - last > _LONGEST:
                last += _LONGEST
                gaps.append(_LONGEST)
                stored.append(np.zeros(block, np.int8))
                count += 1
            gaps.append(position - last)
            stored.append(row[position])
            last = position
            count += 1
        counts.append(count)
    return Entries(
        np.array(counts, np.uint16),
        np.array(gaps or [0], np.uint8),
        np.concatenate(stored) if stored else np.zeros(block, np.int8),
        block,
    )


def offer_sparse_dense(
    view: NodeView, plain: KernelCall, multipliers: ChannelMultipliers, activation: str, isa: Isa
) -> KernelCall:
    """The call of a dense layer, with its sparse form where that could be worth it."""
    filters = constant_filters(view, activation, multipliers=multipliers)
    if filters is None or not is_known(plain.function) or not _empty_enough(filters):
        return plain
    channels, inputs = filters.weights.shape
    batches = view.input(0).elements // inputs
    costs = sparse_costs(isa)

    def work(entries: Entries) -> float:
        each = costs.dense[entries.block] * len(entries.gaps) + costs.output * channels
        return float(batches * each)

    geometry = (("batches", batches), ("in_n", inputs), ("out_n", channels))
    form = _Form("ep_fully_connected_s8_sparse", geometry, ("batches",), batches)
    return _offer(plain, filters, form, work, batches * channels, isa)


def offer_sparse_conv(
    view: NodeView, plain: KernelCall, geometry: Fields, activation: str, isa: Isa
) -> KernelCall:
    """The call of a convolution, with its sparse form where that could be worth it."""
    conv = ungrouped(view, geometry, activation)
    if conv is None or not is_known(plain.function) or not _empty_enough(conv.filters):
        return plain
    fields, filters = conv.fields, conv.filters
    channels, inputs = filters.weights.shape
    positions = fields["out_h"] * fields["out_w"]
    blocks = fields["batches"] * -(-positions // _POSITIONS)
    costs = sparse_costs(isa)

    def work(entries: Entries) -> float:
        each = costs.output * channels + costs.gather * inputs
        return float(blocks * (costs.conv[entries.block] * len(entries.gaps) + _POSITIONS * each))

    form = _Form(
        "ep_conv2d_s8_sparse",
        (*fields.items(), ("fill", filters.input_zero)),
        WINDOW_STRUCTURE,
        _POSITIONS * blocks,
        scratch_bytes=_POSITIONS * inputs,
        overlaps=conv_overlaps(fields, view.input(0).nbytes, _POSITIONS, reverse=False),
    )
    return _offer(plain, filters, form, work, view.output().elements, isa)


@dataclass(frozen=True)
class _Form:
    """What the two kernels differ in: geometry and memory; `repeats` of every entry."""

    function: str
    geometry: Fields
    structural: tuple[str, ...]
    repeats: int
    scratch_bytes: int = 0
    overlaps: tuple[Overlap, ...] = ()


def _empty_enough(filters: Filters) -> bool:
    weights = filters.weights
    few = bool(np.count_nonzero(weights) <= _FULL * weights.size)
    return few and not filters.packed and weights.shape[1] < 1 << 16


def _offer(
    plain: KernelCall,
    filters: Filters,
    form: _Form,
    work: Callable[[Entries], float],
    outputs: int,
    isa: Isa,
) -> KernelCall:
    """The plain call with the cheaper of both ways to store entries beside it."""
    found = [encode_entries(filters.weights, 1)]
    if filters.weights.shape[1] % 4 == 0:
        found.append(encode_entries(filters.weights, 4))
    best = min(found, key=lambda entries: (work(entries), entries.nbytes))
    call = _call(plain, filters, best, form, filters.fast and isa.has("dsp"))
    stored = sum(a.data.nbytes for a in plain.args if isinstance(a, Const))
    saved = stored - sum(a.data.nbytes for a in call.args if isinstance(a, Const))
    more = work(best) - plain_instructions(plain.function, plain.macs, outputs, isa)
    return replace(plain, sparse=Sparse(call, saved, round(more)))


def _call(
    plain: KernelCall, filters: Filters, entries: Entries, form: _Form, fast: bool
) -> KernelCall:
    low, high = filters.limits
    zero = 1.0 - np.count_nonzero(filters.weights) / filters.weights.size
    shape = "one by one" if entries.block == 1 else "in fours"
    params = Params(
        f"{form.function}_params",
        (
            *form.geometry,
            ("scale_step", 1 if filters.multipliers.value.size > 1 else 0),
            ("output_offset", filters.output_zero),
            ("act_min", low),
            ("act_max", high),
            ("block", entries.block),
            ("fast", fast),
        ),
        structural=(*form.structural, "act_min", "act_max", "block", "fast"),
    )
    scratch = (Scratch("int8_t"),) if form.scratch_bytes else ()
    return KernelCall(
        form.function,
        f"{form.function}.h",
        (
            params,
            Input(0),
            Const("start", filters.folded),
            Const("counts", entries.counts, align=2),
            Const("gaps", entries.gaps, align=1),
            Const("weights", entries.weights, align=1),
            *requant_operands(filters.multipliers),
            Output(0),
            *scratch,
        ),
        scratch_bytes=form.scratch_bytes,
        overlaps=form.overlaps,
        macs=form.repeats * entries.weights.size,
        cheap_to_share=True,
        reason=f"{100 * zero:.0f} % of the weights are zero and left out, the others stored "
        f"{shape}; else: {plain.reason}",
    )
