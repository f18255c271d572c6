"""STRIDED_SLICE: every stride-th element of a box, as numpy's basic indexing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
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


@dataclass(frozen=True)
class StridedSliceAttributes(Attributes):
    """Bit i of a mask speaks of entry i of begin, end and strides, as in TensorFlow."""

    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


@dataclass(frozen=True)
class Axis:
    """One dimension of the input: start, step and number of elements taken; dropped if shrunk."""

    start: int
    step: int
    count: int
    shrunk: bool


class StridedSlice(MoveOp):
    """New axes and an ellipsis are resolved at build time."""

    name = "STRIDED_SLICE"
    arity = (4, 4)
    notes = (
        "constant begin, end and strides; new_axis, ellipsis and short begins as in LiteRT "
        "(TFLite Micro ignores those masks)"
    )

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return StridedSliceAttributes()
        return StridedSliceAttributes(
            int(options.beginMask),
            int(options.endMask),
            int(options.ellipsisMask),
            int(options.newAxisMask),
            int(options.shrinkAxisMask),
            bool(options.offset),
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        if self._attrs(view).offset:
            raise unsupported(view, "no kernel for ends given relative to begin (offset)")
        check_loops(view, self.plan(view))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (tuple(1 if a is None else a.count for a in self._layout(view)),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        data = inputs[0]
        assert data is not None
        for dim, axis in enumerate(self._axes(view)):
            stop = axis.start + axis.step * axis.count
            data = data.take(np.arange(axis.start, stop, axis.step), axis=dim)
        return (ensure_shape(data, view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        axes, steps = self._axes(view), pitches(view.input(0).shape)
        at = sum(axis.start * step for axis, step in zip(axes, steps, strict=True))
        return plan_move(
            [axis.count for axis in axes],
            [axis.step * step for axis, step in zip(axes, steps, strict=True)],
            at,
        )

    def _attrs(self, view: NodeView) -> StridedSliceAttributes:
        assert isinstance(view.node.attrs, StridedSliceAttributes)
        return view.node.attrs

    def _axes(self, view: NodeView) -> list[Axis]:
        """One entry per dimension of the input."""
        found: list[Axis] = []
        for dim, entry in enumerate(self._entries(view)):
            size = view.input(0).shape[dim]
            if entry is None:
                found.append(Axis(0, 1, size, False))
            else:
                found.append(self._axis(view, size, entry))
        return found

    def _layout(self, view: NodeView) -> list[Axis | None]:
        """The dimensions of the output in order, None for a new one."""
        axes = iter(self._axes(view))
        layout: list[Axis | None] = []
        for entry in self._spec(view):
            if entry == "new":
                layout.append(None)
                continue
            axis = next(axes)
            if not axis.shrunk:
                layout.append(axis)
        return layout

    def _entries(self, view: NodeView) -> list[int | None]:
        """Per dimension of the input, the entry of begin/end/strides that speaks of it."""
        return [e for e in self._spec(view) if not isinstance(e, str)]

    def _spec(self, view: NodeView) -> list[int | str | None]:
        """The entries with the ellipsis spelt out: an index, None for a whole dimension, or `new`.

        Raises:
            UnsupportedError: more entries than dimensions, or arrays of different lengths.
        """
        attrs, rank = self._attrs(view), len(view.input(0).shape)
        count = view.input(1).elements
        if not count == view.input(2).elements == view.input(3).elements:
            raise unsupported(view, "begin, end and strides have different lengths")
        spec: list[int | str | None] = []
        spoken = sum(not (attrs.ellipsis_mask | attrs.new_axis_mask) >> i & 1 for i in range(count))
        if spoken > rank:
            raise unsupported(view, f"{spoken} slices of a tensor of rank {rank}")
        missing: list[int | str | None] = [None] * (rank - spoken)
        for i in range(count):
            if attrs.ellipsis_mask >> i & 1:
                spec += missing
                missing = []
            elif attrs.new_axis_mask >> i & 1:
                spec.append("new")
            else:
                spec.append(i)
        return spec + missing

    def _axis(self, view: NodeView, size: int, entry: int) -> Axis:
        attrs = self._attrs(view)
        begin = constant_ints(view, 1, "begin")[entry]
        end = constant_ints(view, 2, "end")[entry]
        step = constant_ints(view, 3, "strides")[entry]
        first = None if attrs.begin_mask >> entry & 1 else begin
        last = None if attrs.end_mask >> entry & 1 else end
        if step == 0:
            raise unsupported(view, "stride 0")
        if attrs.shrink_axis_mask >> entry & 1:
            start = 0 if first is None else first + (size if first < 0 else 0)
            if step < 0 or not 0 <= start < size:
                raise unsupported(
                    view, f"index {begin} with stride {step} of a dimension of extent {size}"
                )
            return Axis(start, 1, 1, True)
        chosen = range(*slice(first, last, step).indices(size))
        return Axis(chosen.start if chosen else 0, step, len(chosen), False)
