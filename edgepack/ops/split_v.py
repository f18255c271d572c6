"""SPLIT_V: a tensor cut into parts of given extents along one dimension."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.move import MOVED, check_moved, constant_ints, resolve_axis
from edgepack.ops.shared.pieces import lower_split
from edgepack.types import Array, Shape


class SplitV(Op):
    """Input 1 holds the extents (one may be -1: the rest), input 2 the dimension."""

    name = "SPLIT_V"
    types = MOVED
    arity = (3, 3)
    notes = "constant sizes and axis; free along the outermost dimension where the graph allows it"

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)
        sizes = self._sizes(view)
        extent = view.input(0).shape[self._axis(view)]
        if len(sizes) != len(view.outputs) or sum(sizes) != extent or min(sizes) < 0:
            raise unsupported(
                view, f"extents {list(sizes)} for {len(view.outputs)} outputs out of {extent}"
            )

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape, axis = view.input(0).shape, self._axis(view)
        return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in self._sizes(view))

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        cuts = list(accumulate(self._sizes(view)))[:-1]
        parts = np.split(inputs[0], cuts, self._axis(view))
        return tuple(ensure_shape(p, out) for p, out in zip(parts, view.outputs, strict=True))

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return lower_split(view, 0, self._axis(view))

    def _axis(self, view: NodeView) -> int:
        axis = constant_ints(view, 2, "axis")
        if len(axis) != 1:
            raise unsupported(view, f"{len(axis)} axes, one is allowed")
        return resolve_axis(view, axis[0], len(view.input(0).shape))

    def _sizes(self, view: NodeView) -> tuple[int, ...]:
        sizes = constant_ints(view, 1, "sizes")
        if sizes.count(-1) != 1:
            return sizes
        rest = view.input(0).shape[self._axis(view)] - sum(sizes) - 1
        return tuple(rest if size == -1 else size for size in sizes)
