"""FILL: a tensor of one value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.move import MOVED, check_moved, constant_ints, kernel_suffix
from edgepack.types import Array, Shape


class Fill(Op):
    """Input 0 is the shape, input 1 the value."""

    name = "FILL"
    types = MOVED
    type_slot = 1
    arity = (2, 2)
    notes = "constant shape"

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view, 1)
        if view.input(1).elements != 1:
            raise unsupported(view, f"its value is {view.input(1).describe()}, not one element")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (constant_ints(view, 0, "shape"),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[1] is not None
        out = view.output()
        return (ensure_shape(np.full(out.shape, inputs[1].reshape(-1)[0]), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        out = view.output()
        params = Params("ep_fill_params", (("count", out.elements),))
        return KernelCall(
            f"ep_fill_{kernel_suffix(out.dtype)}", "ep_fill.h", (params, Input(1), Output(0))
        )
