"""SLICE: a box of the input; its begin may be computed at run time."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.move import (
    MAX_MOVE_DIMS,
    MoveOp,
    MovePlan,
    constant_ints,
    kernel_suffix,
    lower_move,
    pitches,
    plan_move,
)
from edgepack.types import Array, DType, Shape


class Slice(MoveOp):
    """Inputs 1 and 2 are begin and size of the box; size -1 means up to the end."""

    name = "SLICE"
    arity = (3, 3)
    notes = "begin may be computed at run time (checked there), the size is static"
    forward = True

    def check(self, view: NodeView) -> None:
        super().check(view)
        rank = len(view.input(0).shape)
        if rank > MAX_MOVE_DIMS:
            raise unsupported(view, f"rank {rank}, allowed up to {MAX_MOVE_DIMS}")
        for slot, what in ((1, "begin"), (2, "size")):
            tensor = view.input(slot)
            if tensor.dtype not in (DType.INT32, DType.INT64) or tensor.elements != rank:
                raise unsupported(view, f"its {what} is not {rank} INT32 or INT64 values")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        source, size = view.input(0).shape, view.input(2)
        starts = self._begin(view) or (0,) * len(source)
        wanted = view.output().shape
        if size.data is not None:
            counts = zip(source, starts, constant_ints(view, 2, "size"), strict=True)
            wanted = tuple(dim - start if n == -1 else n for dim, start, n in counts)
        if len(wanted) != len(source):
            raise unsupported(view, f"an output of rank {len(wanted)} from rank {len(source)}")
        boxes = list(zip(starts, wanted, source, strict=True))
        if any(b < 0 or n < 0 or b + n > dim for b, n, dim in boxes):
            raise unsupported(view, f"begin {list(starts)} and size {list(wanted)} leave the input")
        return (wanted,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        data, begin = inputs[0], inputs[1]
        assert data is not None and begin is not None
        out = view.output()
        starts = [int(b) for b in begin.reshape(-1)]
        box = zip(starts, out.shape, data.shape, strict=True)
        if any(b < 0 or b + n > dim for b, n, dim in box):
            raise IndexError(f"begin {starts} is out of range")
        chosen = tuple(slice(b, b + n) for b, n in zip(starts, out.shape, strict=True))
        return (ensure_shape(data[chosen], out),)

    def plan(self, view: NodeView) -> MovePlan:
        steps = pitches(view.input(0).shape)
        begin = self._begin(view) or (0,) * len(steps)
        at = sum(b * step for b, step in zip(begin, steps, strict=True))
        return plan_move(view.output().shape, steps, at)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        plan = self.plan(view)
        if view.input(1).data is not None:
            return lower_move(view, plan, forward=True)
        source, out = view.input(0), view.output()
        fill = (0,) * (MAX_MOVE_DIMS - len(source.shape))
        limits = tuple(a - b for a, b in zip(source.shape, out.shape, strict=True))
        params = Params(
            "ep_slice_params",
            (
                *((f"move.{name}", value) for name, value in plan.fields(overlap=False)),
                ("rank", len(source.shape)),
                ("limit", limits + fill),
                ("pitch", pitches(source.shape) + fill),
            ),
        )
        return KernelCall(
            f"ep_slice_{kernel_suffix(out.dtype)}_{view.input(1).dtype.suffix}",
            "ep_move.h",
            (params, Input(0), Input(1), Output(0)),
            fallible=True,
            reason="begin is known at run time only",
        )

    def _begin(self, view: NodeView) -> tuple[int, ...] | None:
        return None if view.input(1).data is None else constant_ints(view, 1, "begin")
