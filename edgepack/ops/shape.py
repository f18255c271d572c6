"""SHAPE: the extents of a tensor; a constant, as shapes are static."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Const, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.move import plan_move
from edgepack.types import Array, DType


class ShapeOp(Op):
    """Folded at build time; only a model whose output is a shape runs it."""

    name = "SHAPE"
    types = tuple(t for t in DType if t is not DType.RESOURCE)
    arity = (1, 1)
    notes = "folded at build time; int32 or int64 output"

    def check(self, view: NodeView) -> None:
        super().check(view)
        if view.output().dtype not in (DType.INT32, DType.INT64):
            raise unsupported(view, f"output {view.output().dtype.value}, allowed INT32 and INT64")

    def infer_shape(self, view: NodeView) -> tuple[tuple[int, ...], ...]:
        return ((len(view.input(0).shape),),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        return (ensure_shape(np.array(view.input(0).shape, np.int64), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        out = view.output()
        (extents,) = self.reference(view, [None])
        plan = plan_move(out.shape, (1,))
        return KernelCall(
            f"ep_move_{out.dtype.suffix}",
            "ep_move.h",
            (
                Params("ep_move_params", plan.fields(overlap=False)),
                Const("shape", extents, role="tables"),
                Output(0),
            ),
        )
