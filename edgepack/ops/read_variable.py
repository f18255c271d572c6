"""READ_VARIABLE: a copy of a variable's value."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView, Op, ensure_shape
from edgepack.ops.shared.kernel import Isa, KernelCall, Lowered, Output, Params, State
from edgepack.types import Array, DType, Shape


class ReadVariable(Op):
    """Input 0 is a handle; the reference gets the variable's value instead."""

    name = "READ_VARIABLE"
    types = (DType.RESOURCE,)
    arity = (1, 1)
    notes = "the zero point before the first assignment, as in TFLM"

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.output().shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (ensure_shape(inputs[0].copy(), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        params = Params("ep_copy_params", (("bytes", view.output().nbytes),))
        return KernelCall(
            "ep_copy", "ep_state.h", (params, State(0), Output(0)), reason="copies the variable"
        )
