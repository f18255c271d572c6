"""TRANSPOSE: the dimensions in another order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.move import (
    MoveOp,
    MovePlan,
    check_loops,
    constant_ints,
    pitches,
    plan_move,
)
from edgepack.types import Array, Shape


class Transpose(MoveOp):
    """Input 1 is the permutation: output dimension i is input dimension perm[i]."""

    name = "TRANSPOSE"
    arity = (2, 2)
    notes = "constant permutation; free where no element moves"

    def check(self, view: NodeView) -> None:
        super().check(view)
        rank, perm = len(view.input(0).shape), constant_ints(view, 1, "permutation")
        if sorted(perm) != list(range(rank)):
            raise unsupported(view, f"{list(perm)} is not a permutation of {rank} dimensions")
        check_loops(view, self.plan(view))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape = view.input(0).shape
        return (tuple(shape[d] for d in constant_ints(view, 1, "permutation")),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        perm = constant_ints(view, 1, "permutation")
        return (ensure_shape(np.transpose(inputs[0], perm), view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        shape, perm = view.input(0).shape, constant_ints(view, 1, "permutation")
        steps = pitches(shape)
        return plan_move([shape[d] for d in perm], [steps[d] for d in perm])
