"""SPLIT: a tensor cut into equal parts along one dimension."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.move import MOVED, check_moved, constant_ints, resolve_axis
from edgepack.ops.shared.pieces import lower_split
from edgepack.types import Array, Shape


class Split(Op):
    """Input 0 is the dimension, input 1 the tensor; there are as many parts as outputs."""

    name = "SPLIT"
    types = MOVED
    type_slot = 1
    arity = (2, 2)
    notes = "constant axis; free along the outermost dimension where the graph allows it"

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view, 1)
        extent = view.input(1).shape[self._axis(view)]
        if extent % len(view.outputs):
            raise unsupported(view, f"an extent of {extent} in {len(view.outputs)} equal parts")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape, axis, parts = view.input(1).shape, self._axis(view), len(view.outputs)
        return ((*shape[:axis], shape[axis] // parts, *shape[axis + 1 :]),) * parts

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[1] is not None
        parts = np.split(inputs[1], len(view.outputs), self._axis(view))
        return tuple(ensure_shape(p, out) for p, out in zip(parts, view.outputs, strict=True))

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return lower_split(view, 1, self._axis(view))

    def _axis(self, view: NodeView) -> int:
        axis = constant_ints(view, 0, "axis")
        if len(axis) != 1:
            raise unsupported(view, f"{len(axis)} axes, one is allowed")
        return resolve_axis(view, axis[0], len(view.input(1).shape))
