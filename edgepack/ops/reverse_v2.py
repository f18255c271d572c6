"""REVERSE_V2: the order of the elements along some dimensions turned round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, ensure_shape
from edgepack.ops.shared.move import (
    MoveOp,
    MovePlan,
    check_loops,
    constant_ints,
    pitches,
    plan_move,
    resolve_axis,
)
from edgepack.types import Array, Shape


class ReverseV2(MoveOp):
    """Input 1 lists the dimensions; they need not be neighbours (in TFLite they must be)."""

    name = "REVERSE_V2"
    arity = (2, 2)
    notes = "constant axes, any set of them"

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_loops(view, self.plan(view))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (ensure_shape(np.flip(inputs[0], tuple(sorted(self._axes(view)))), view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        shape, axes = view.input(0).shape, self._axes(view)
        steps = pitches(shape)
        at = sum((shape[d] - 1) * steps[d] for d in axes)
        return plan_move(shape, [-s if d in axes else s for d, s in enumerate(steps)], at)

    def _axes(self, view: NodeView) -> set[int]:
        rank = len(view.input(0).shape)
        return {resolve_axis(view, a, rank) for a in constant_ints(view, 1, "axes")}
