"""ASSIGN_VARIABLE: gives a variable a new value."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView, Op, unsupported
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Params, State
from edgepack.types import Array, DType, Shape


class AssignVariable(Op):
    """Input 0 is a handle; the reference gets the variable's own array and writes to it."""

    name = "ASSIGN_VARIABLE"
    types = (DType.RESOURCE,)
    arity = (2, 2)

    def check(self, view: NodeView) -> None:
        super().check(view)
        if view.outputs:
            raise unsupported(view, f"{len(view.outputs)} outputs, allowed 0")
        if view.input(1).dtype is DType.RESOURCE:
            raise unsupported(view, "its value is a resource handle")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return ()

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        variable, value = inputs
        assert variable is not None and value is not None
        variable[...] = value.reshape(variable.shape)
        return ()

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        params = Params("ep_copy_params", (("bytes", view.input(1).nbytes),))
        return KernelCall(
            "ep_copy", "ep_state.h", (params, Input(1), State(0)), reason="copies the value"
        )
