"""Numpy-style broadcasting of two operands, folded into as few loop dimensions as possible."""

from __future__ import annotations

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
    stride_a, stride_b = _strides(a, len(out)), _strides(b, len(out))
    dims: list[int] = []
    first: list[int] = []
    second: list[int] = []
    for size, s1, s2 in zip(out, stride_a, stride_b, strict=True):
        if size == 1:
            continue
        if dims and first[-1] == s1 * size and second[-1] == s2 * size:
            dims[-1] *= size
            first[-1], second[-1] = s1, s2
        else:
            dims.append(size)
            first.append(s1)
            second.append(s2)
    if not dims:
        return BroadcastPlan((1,), (0,), (0,))
    return BroadcastPlan(tuple(dims), tuple(first), tuple(second))


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
