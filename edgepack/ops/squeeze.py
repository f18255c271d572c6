"""SQUEEZE: dimensions of extent 1 left out; no code, the tensors share memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, ensure_shape, unsupported
from edgepack.ops.shared.move import MoveOp, MovePlan, resolve_axis
from edgepack.types import Array, Shape


@dataclass(frozen=True)
class SqueezeAttributes(Attributes):
    """The dimensions to leave out; none means all of extent 1."""

    dims: tuple[int, ...] = ()


class Squeeze(MoveOp):
    """Negative dimensions count from the back."""

    name = "SQUEEZE"
    arity = (1, 1)
    notes = "free: shares memory where the graph allows it"
    forward = True

    def attributes(self, options: Any) -> Attributes:
        if options is None or options.squeezeDims is None:
            return SqueezeAttributes()
        return SqueezeAttributes(tuple(int(d) for d in options.squeezeDims))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        assert isinstance(view.node.attrs, SqueezeAttributes)
        shape = view.input(0).shape
        chosen = {resolve_axis(view, d, len(shape)) for d in view.node.attrs.dims}
        wrong = [d for d in sorted(chosen) if shape[d] != 1]
        if wrong:
            raise unsupported(view, f"dimension {wrong[0]} has extent {shape[wrong[0]]}, not 1")
        left_out = chosen or {d for d, size in enumerate(shape) if size == 1}
        return (tuple(size for d, size in enumerate(shape) if d not in left_out),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (ensure_shape(inputs[0], view.output()),)

    def plan(self, view: NodeView) -> MovePlan:
        return MovePlan((), (), 0, view.output().elements)
