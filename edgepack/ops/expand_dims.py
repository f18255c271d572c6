"""EXPAND_DIMS: a new dimension of extent 1; no code, the tensors share memory."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.move import MoveOp, MovePlan, constant_ints, resolve_axis
from edgepack.types import Array, Shape


class ExpandDims(MoveOp):
    """Input 1 is the position of the new dimension, negative counts from the back."""

    name = "EXPAND_DIMS"
    arity = (2, 2)
    notes = "free: shares memory where the graph allows it; constant axis"
    forward = True

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape = view.input(0).shape
        axis = constant_ints(view, 1, "axis")
        if len(axis) != 1:
            raise unsupported(view, f"{len(axis)} axes, one is allowed")
        at = resolve_axis(view, axis[0], len(shape) + 1)
        return ((*shape[:at], 1, *shape[at:]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (ensure_shape(inputs[0], view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        return MovePlan((), (), 0, view.output().elements)
