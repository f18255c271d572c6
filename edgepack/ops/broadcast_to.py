"""BROADCAST_TO: dimensions of extent 1 repeated until the input has the wanted shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.broadcast import broadcast_shape
from edgepack.ops.shared.move import (
    MoveOp,
    MovePlan,
    check_loops,
    constant_ints,
    pitches,
    plan_move,
)
from edgepack.types import Array, Shape


class BroadcastTo(MoveOp):
    """Input 1 is the wanted shape."""

    name = "BROADCAST_TO"
    arity = (2, 2)
    notes = "constant shape"

    def check(self, view: NodeView) -> None:
        super().check(view)
        self.infer_shape(view)
        check_loops(view, self.plan(view))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        source, wanted = view.input(0).shape, constant_ints(view, 1, "shape")
        if min(wanted, default=0) < 0 or broadcast_shape(source, wanted) != wanted:
            raise unsupported(view, f"{list(source)} does not broadcast to {list(wanted)}")
        return (wanted,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (ensure_shape(np.broadcast_to(inputs[0], view.output().shape), view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        wanted = constant_ints(view, 1, "shape")
        source = (1,) * (len(wanted) - len(view.input(0).shape)) + view.input(0).shape
        strides = [
            0 if size == 1 else step for size, step in zip(source, pitches(source), strict=True)
        ]
        return plan_move(wanted, strides)
