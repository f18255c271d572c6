"""TILE: the whole input repeated along each dimension."""

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


class Tile(MoveOp):
    """Input 1 says how often each dimension is repeated."""

    name = "TILE"
    arity = (2, 2)
    notes = "constant multiples; not in TFLite Micro, checked against LiteRT"

    def check(self, view: NodeView) -> None:
        super().check(view)
        self.infer_shape(view)
        check_loops(view, self.plan(view))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape, times = view.input(0).shape, constant_ints(view, 1, "multiples")
        if len(times) != len(shape) or min(times, default=1) < 0:
            raise unsupported(view, f"multiples {list(times)} for a tensor of rank {len(shape)}")
        return (tuple(n * size for n, size in zip(times, shape, strict=True)),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        times = constant_ints(view, 1, "multiples")
        return (ensure_shape(np.tile(inputs[0], times), view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        shape, times = view.input(0).shape, constant_ints(view, 1, "multiples")
        dims: list[int] = []
        strides: list[int] = []
        for size, count, step in zip(shape, times, pitches(shape), strict=True):
            dims += [count, size]
            strides += [0, step]
        return plan_move(dims, strides)
