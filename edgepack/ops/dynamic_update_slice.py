"""DYNAMIC_UPDATE_SLICE: a tensor with one box replaced, whose begin is computed at run time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.indices import check_index_type
from edgepack.ops.shared.kernel import (
    Input,
    Isa,
    KernelCall,
    Lowered,
    Output,
    Overlap,
    Params,
)
from edgepack.ops.shared.move import MOVED, check_moved, kernel_suffix, pitches
from edgepack.types import Array, Shape

_MAX_RANK = 6  # EP_UPDATE_DIMS of firmware/kernels/ep_update_slice.h


class DynamicUpdateSlice(Op):
    """Inputs: operand, update, begin. Begins are clamped so that the box lies inside."""

    name = "DYNAMIC_UPDATE_SLICE"
    types = MOVED
    arity = (3, 3)
    notes = "in place where the operand is not needed afterwards"

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view, 0)
        check_moved(view, 1)
        check_index_type(view, 2)
        operand, update = view.input(0).shape, view.input(1).shape
        if not 1 <= len(operand) <= _MAX_RANK:
            raise unsupported(view, f"rank {len(operand)}, allowed 1 to {_MAX_RANK}")
        if len(update) != len(operand) or any(u > o for u, o in zip(update, operand, strict=True)):
            raise unsupported(view, f"an update {list(update)} of {list(operand)}")
        if view.input(2).shape != (len(operand),):
            raise unsupported(view, f"its begin is not {len(operand)} values")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        operand, update, begin = inputs
        assert operand is not None and update is not None and begin is not None
        result = operand.copy()
        room = np.array(operand.shape, np.int64) - np.array(update.shape, np.int64)
        starts = np.minimum(np.maximum(begin.astype(np.int64), 0), room)
        box = tuple(slice(s, s + n) for s, n in zip(starts, update.shape, strict=True))
        result[box] = update
        return (ensure_shape(result, view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        operand, update = view.input(0).shape, view.input(1).shape
        fill = _MAX_RANK - len(operand)
        limits = tuple(o - u for o, u in zip(operand, update, strict=True))
        params = Params(
            "ep_update_slice_params",
            (
                ("rank", len(operand)),
                ("count", view.output().elements),
                ("dims", (1,) * fill + update),
                ("pitch", (0,) * fill + pitches(operand)),
                ("limit", (0,) * fill + limits),
            ),
        )
        return KernelCall(
            f"ep_update_slice_{kernel_suffix(view.output().dtype)}_{view.input(2).dtype.suffix}",
            "ep_update_slice.h",
            (params, Input(0), Input(1), Input(2), Output(0)),
            overlaps=(Overlap(0, 0, 0),),
            reason="copies the operand unless in place, then the update row by row",
        )
