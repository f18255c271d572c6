"""Cutting a tensor along one dimension and putting pieces together again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.kernel import (
    Alias,
    Const,
    Input,
    InputArray,
    KernelCall,
    Lowered,
    Output,
    OutputArray,
    Params,
    Placement,
)
from edgepack.ops.shared.move import kernel_suffix


def lower_join(view: NodeView, axis: int) -> Lowered:
    """All inputs one after another along dimension `axis` of the output."""
    out = view.output()
    outer = math.prod(out.shape[:axis])
    pieces = [view.input(slot) for slot in range(len(view.inputs))]
    params, runs = _arguments(outer, [piece.elements for piece in pieces])
    slots = tuple(range(len(pieces)))
    call = KernelCall(
        f"ep_join_{kernel_suffix(out.dtype)}",
        "ep_pieces.h",
        (params, runs, InputArray(slots), Output(0)),
        reason=f"{len(pieces)} pieces copied in {outer} steps",
    )
    if outer != 1:
        return call
    starts = accumulate((piece.nbytes for piece in pieces), initial=0)
    places = [Placement(p.id, out.id, at) for p, at in zip(pieces, starts, strict=False)]
    return Alias(tuple(places), fallback=call)


def lower_split(view: NodeView, slot: int, axis: int) -> Lowered:
    """Input `slot` cut along its dimension `axis` into all outputs."""
    source = view.input(slot)
    outer = math.prod(source.shape[:axis])
    params, runs = _arguments(outer, [piece.elements for piece in view.outputs])
    call = KernelCall(
        f"ep_split_{kernel_suffix(source.dtype)}",
        "ep_pieces.h",
        (params, runs, Input(slot), OutputArray(tuple(range(len(view.outputs))))),
        reason=f"{len(view.outputs)} pieces copied in {outer} steps",
    )
    if outer != 1:
        return call
    starts = accumulate((piece.nbytes for piece in view.outputs), initial=0)
    places = [Placement(p.id, source.id, at) for p, at in zip(view.outputs, starts, strict=False)]
    return Alias(tuple(places), fallback=call)


def _arguments(outer: int, elements: Sequence[int]) -> tuple[Params, Const]:
    runs = np.array([count // outer if outer else 0 for count in elements], np.int32)
    params = Params("ep_pieces_params", (("outer", outer), ("count", len(elements))))
    return params, Const("runs", runs, role="tables")
