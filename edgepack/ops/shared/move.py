"""Ops that move elements without changing them, as loops with one input stride each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from edgepack.ops.shared.base import NodeView, Op, unsupported
from edgepack.ops.shared.kernel import (
    Alias,
    FieldValue,
    Input,
    Isa,
    KernelCall,
    Lowered,
    Output,
    Overlap,
    Params,
    Placement,
)
from edgepack.types import DType, Shape

MAX_MOVE_DIMS = 8  # loop depth of firmware/kernels/ep_move.h
MOVED = (
    DType.INT8,
    DType.INT16,
    DType.INT32,
    DType.INT64,
    DType.UINT8,
    DType.BOOL,
    DType.FLOAT32,
)
_STORED_AS = {DType.INT4: "s8", DType.FLOAT16: "u16"}


@dataclass(frozen=True)
class MovePlan:
    """The output, in order, reads `run` elements of the input at `at` plus index * stride.

    Strides count elements; dimensions that can be walked as one are merged, so that a contiguous
    copy has no loops at all.
    """

    dims: tuple[int, ...]
    strides: tuple[int, ...]
    at: int
    run: int

    @property
    def is_copy(self) -> bool:
        return not self.dims

    def fields(self, *, overlap: bool) -> tuple[tuple[str, FieldValue], ...]:
        """The members of ep_move_params."""
        fill = MAX_MOVE_DIMS - len(self.dims)
        return (
            ("dims", (1,) * fill + self.dims),
            ("stride", (0,) * fill + self.strides),
            ("at", self.at),
            ("run", self.run),
            ("overlap", overlap),
        )


def plan_move(dims: Sequence[int], strides: Sequence[int], at: int = 0) -> MovePlan:
    """Merge loops (outermost first; input strides in elements) into as few as possible."""
    if 0 in dims:
        return MovePlan((), (), 0, 0)
    merged: list[tuple[int, int]] = []
    for size, stride in zip(dims, strides, strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1] == stride * size:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    run = merged.pop()[0] if merged and merged[-1][1] == 1 else 1
    return MovePlan(tuple(d for d, _ in merged), tuple(s for _, s in merged), at, run)


def pitches(shape: Shape) -> tuple[int, ...]:
    """Elements between neighbours in each dimension of a tensor in C order."""
    found: list[int] = []
    step = 1
    for size in reversed(shape):
        found.insert(0, step)
        step *= size
    return tuple(found)


def kernel_suffix(dtype: DType) -> str:
    """Suffix of the moving kernels for elements of this type."""
    return _STORED_AS.get(dtype, dtype.suffix)


def check_moved(view: NodeView, slot: int = 0) -> None:
    """Refuse outputs of another type than input `slot`.

    Raises:
        UnsupportedError: naming both types.
    """
    got = view.input(slot).dtype
    for tensor in view.outputs:
        if tensor.dtype is not got:
            raise unsupported(view, f"input {got.value} but output {tensor.dtype.value}")


def lower_move(
    view: NodeView, plan: MovePlan, *, slot: int = 0, forward: bool = False
) -> KernelCall | Alias:
    """The strided copy for a node, or no code where the output is one piece of the input.

    Args:
        forward: the input is read in ascending order and never more than once, so that the output
            may overwrite what was read.
    """
    size = view.output().dtype.itemsize
    call = KernelCall(
        f"ep_move_{kernel_suffix(view.output().dtype)}",
        "ep_move.h",
        (Params("ep_move_params", plan.fields(overlap=forward)), Input(slot), Output(0)),
        overlaps=(Overlap(slot, 0, -plan.at * size),) if forward else (),
        reason="contiguous copy" if plan.is_copy else f"strided copy in {len(plan.dims)} loops",
    )
    if not plan.is_copy:
        return call
    place = Placement(view.output().id, view.input(slot).id, plan.at * size)
    return Alias((place,), fallback=call)


class MoveOp(Op):
    """An op whose output is a strided copy of one input."""

    types = MOVED
    forward: ClassVar[bool] = False  # see lower_move

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view, self.type_slot)

    @abstractmethod
    def plan(self, view: NodeView) -> MovePlan:
        """How the output reads the input; shapes have been checked."""

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return lower_move(view, self.plan(view), slot=self.type_slot, forward=self.forward)


def check_loops(view: NodeView, plan: MovePlan) -> None:
    """Refuse what needs more loops than the kernel has.

    Raises:
        UnsupportedError: more than MAX_MOVE_DIMS.
    """
    if len(plan.dims) > MAX_MOVE_DIMS:
        raise unsupported(view, f"needs {len(plan.dims)} loops, the kernel has {MAX_MOVE_DIMS}")


def resolve_axis(view: NodeView, axis: int, rank: int) -> int:
    """A dimension counted from the front.

    Raises:
        UnsupportedError: not within -rank..rank-1.
    """
    if not -rank <= axis < rank:
        raise unsupported(view, f"axis {axis} of a tensor of rank {rank}")
    return axis % rank


def constant_ints(view: NodeView, slot: int, what: str) -> tuple[int, ...]:
    """The flattened values of a constant integer input.

    Raises:
        UnsupportedError: it is computed at run time, or not of integers.
    """
    values = view.const(slot, what)
    if values.dtype.kind not in "iu":
        raise unsupported(view, f"its {what} (input {slot}) is {view.input(slot).dtype.value}")
    return tuple(int(v) for v in values.reshape(-1))
