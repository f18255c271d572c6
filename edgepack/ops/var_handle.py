"""VAR_HANDLE: names a variable that keeps its value from one inference to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, unsupported
from edgepack.ops.shared.kernel import Alias, Isa, Lowered
from edgepack.ops.shared.resources import VarHandleAttributes
from edgepack.types import Array, DType, Shape


class VarHandle(Op):
    """Handles are resolved at build time (ops/shared/resources.py)."""

    name = "VAR_HANDLE"
    types = (DType.RESOURCE,)
    arity = (0, 0)
    notes = "resolved at build time: no code, no memory for the handle"

    def attributes(self, options: Any) -> Attributes:
        return VarHandleAttributes(_text(options.container), _text(options.sharedName))

    def check(self, view: NodeView) -> None:
        if view.inputs:
            raise unsupported(view, f"{len(view.inputs)} inputs, allowed 0")
        if view.output().dtype is not DType.RESOURCE:
            raise unsupported(view, f"its output is {view.output().describe()}")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.output().shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        return ()

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return Alias((), reason="the variable is known at build time")


def _text(raw: Any) -> str:
    if raw is None:
        return ""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
