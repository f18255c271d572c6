"""Weights of which most are zero, stored and multiplied without these (ep_sparse.h).

A lowering offers its call in this form beside the plain one; emit/coding.py chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.filters import Filters, constant_filters
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Output, Params, Sparse
from edgepack.ops.shared.requant import ChannelMultipliers
from edgepack.ops.shared.weighted import requant_operands

_LONGEST = 255  # a gap
_FULL = 0.7  # share of weights that are not zero from which no form is smaller than a byte each
# Instructions of dense layers, counted on emulated boards at -O2 (benchmarks/sparse_kernels.py):
# of the plain kernels per weight, and of this one per entry and per filter.
_PLAIN = {
    "ep_fully_connected_s8_dsp": 1.2,
    "ep_fully_connected_s8_mve": 0.2,
    "ep_fully_connected_s8_mul": 3.0,
    "ep_fully_connected_s8": 7.0,
}


@dataclass(frozen=True)
class _Costs:
    """Instructions of the sparse kernel: per entry, by weights of an entry, and per filter."""

    entry: dict[int, float]
    filter: float


_DSP = _Costs({1: 4.5, 4: 11.0}, 45.0)
_PORTABLE = _Costs({1: 7.0, 4: 22.0}, 45.0)


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
    cost = _PLAIN.get(plain.function)
    if filters is None or filters.packed or cost is None:
        return plain
    weights = filters.weights
    channels, inputs = weights.shape
    if np.count_nonzero(weights) > _FULL * weights.size or inputs > 65_535:
        return plain
    costs = _DSP if isa.has("dsp") else _PORTABLE
    batches = view.input(0).elements // inputs
    forms = [encode_entries(weights, 1)]
    if inputs % 4 == 0:
        forms.append(encode_entries(weights, 4))
    best = min(forms, key=lambda e: (costs.entry[e.block] * len(e.gaps), e.nbytes))
    call = _call(plain, filters, best, batches)
    stored = sum(a.data.nbytes for a in plain.args if isinstance(a, Const))
    saved = stored - sum(a.data.nbytes for a in call.args if isinstance(a, Const))
    work = batches * (costs.entry[best.block] * len(best.gaps) + costs.filter * channels)
    more = round(work - cost * batches * weights.size)
    return replace(plain, sparse=Sparse(call, saved, more))


def _call(plain: KernelCall, filters: Filters, entries: Entries, batches: int) -> KernelCall:
    channels, inputs = filters.weights.shape
    low, high = filters.limits
    zero = 1.0 - np.count_nonzero(filters.weights) / filters.weights.size
    shape = "one by one" if entries.block == 1 else "in fours"
    params = Params(
        "ep_fully_connected_s8_sparse_params",
        (
            ("batches", batches),
            ("in_n", inputs),
            ("out_n", channels),
            ("scale_step", 1 if filters.multipliers.value.size > 1 else 0),
            ("output_offset", filters.output_zero),
            ("act_min", low),
            ("act_max", high),
            ("block", entries.block),
        ),
        structural=("batches", "act_min", "act_max", "block"),
    )
    return KernelCall(
        "ep_fully_connected_s8_sparse",
        "ep_fully_connected_s8_sparse.h",
        (
            params,
            Input(0),
            Const("start", filters.folded),
            Const("counts", entries.counts, align=2),
            Const("gaps", entries.gaps, align=1),
            Const("weights", entries.weights, align=1),
            *requant_operands(filters.multipliers),
            Output(0),
        ),
        macs=batches * entries.weights.size,
        cheap_to_share=True,
        reason=f"{100 * zero:.0f} % of the weights are zero and left out, the others stored "
        f"{shape}; else: {plain.reason}",
    )
