"""Numpy-style broadcasting of two operands, folded into as few loop dimensions as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.kernel import Overlap
from edgepack.types import Shape

MAX_DIMS = 6  # loop depth of firmware/kernels/ep_broadcast.h


@dataclass(frozen=True)
class BroadcastPlan:
    """Loop extents and the element strides of both operands (0 where an operand repeats).

    Adjacent dimensions that both operands walk in the same way are merged, so that equal shapes
    become one loop.
    """

    dims: tuple[int, ...]
    stride1: tuple[int, ...]
    stride2: tuple[int, ...]

    def fields(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The members of ep_broadcast: three arrays of MAX_DIMS entries, outermost first."""
        fill = MAX_DIMS - len(self.dims)
        return (
            ("dims", (1,) * fill + self.dims),
            ("stride1", (0,) * fill + self.stride1),
            ("stride2", (0,) * fill + self.stride2),
        )


def broadcast_shape(a: Shape, b: Shape) -> Shape | None:
    """The shape of both operands broadcast together, or None where they do not fit."""
    rank = max(len(a), len(b))
    left = (1,) * (rank - len(a)) + a
    right = (1,) * (rank - len(b)) + b
    if any(x != y and 1 not in (x, y) for x, y in zip(left, right, strict=True)):
        return None
    return tuple(y if x == 1 else x for x, y in zip(left, right, strict=True))


def plan_broadcast(a: Shape, b: Shape, out: Shape) -> BroadcastPlan:
    """How to walk operands of shapes a and b to fill `out` (their broadcast shape)."""
    dims, (first, second) = walk_operands((a, b), out)
    return BroadcastPlan(dims, first, second)


def walk_operands(
    operands: Sequence[Shape], out: Shape
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Loop extents, and for each operand its element strides (0 where it repeats).

    Adjacent dimensions that all operands walk in the same way are merged; at least one is left.
    """
    strides = [_strides(shape, len(out)) for shape in operands]
    dims: list[int] = []
    walks: list[tuple[int, ...]] = []
    for size, *steps in zip(out, *strides, strict=True):
        if size == 1:
            continue
        if dims and walks[-1] == tuple(step * size for step in steps):
            dims[-1] *= size
            walks[-1] = tuple(steps)
        else:
            dims.append(size)
            walks.append(tuple(steps))
    if not dims:
        return (1,), tuple((0,) for _ in operands)
    return tuple(dims), tuple(zip(*walks, strict=True))


def _strides(shape: Shape, rank: int) -> list[int]:
    strides: list[int] = []
    step = 1
    for size in reversed((1,) * (rank - len(shape)) + shape):
        strides.insert(0, 0 if size == 1 else step)
        step *= size
    return strides


def elementwise_overlaps(view: NodeView) -> tuple[Overlap, ...]:
    """In place is safe for operands that are as large as the output: each element is read first."""
    out = view.output()
    return tuple(
        Overlap(slot, 0, 0)
        for slot, tensor in enumerate(view.inputs)
        if tensor is not None and tensor.nbytes == out.nbytes
    )
