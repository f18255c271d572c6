"""RESHAPE: the same elements in another shape; no code, the tensors share memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.move import MovePlan, lower_move
from edgepack.types import Array, DType, Shape


@dataclass(frozen=True)
class ReshapeAttributes(Attributes):
    """The wanted shape, one entry may be -1."""

    new_shape: tuple[int, ...] | None = None


class Reshape(Op):
    """The shape comes from input 1 when it is constant, else from the attribute."""

    name = "RESHAPE"
    types = tuple(t for t in DType if t not in (DType.INT4, DType.RESOURCE))
    arity = (1, 2)
    notes = "free: shares memory where the graph allows it"

    def attributes(self, options: Any) -> Attributes:
        if options is None or options.newShape is None:
            return ReshapeAttributes()
        return ReshapeAttributes(tuple(int(d) for d in options.newShape))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        source, wanted = view.input(0), self._wanted(view)
        known = 1
        for dim in wanted:
            known *= dim if dim != -1 else 1
        shape = tuple(
            dim if dim != -1 else (source.elements // known if known else 0) for dim in wanted
        )
        elements = 1
        for dim in shape:
            elements *= dim
        if wanted.count(-1) > 1 or elements != source.elements:
            raise unsupported(view, f"{source.elements} elements do not fit shape {list(wanted)}")
        return (shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (ensure_shape(inputs[0], view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return lower_move(view, MovePlan((), (), 0, view.output().elements), forward=True)

    def _wanted(self, view: NodeView) -> tuple[int, ...]:
        shape = view.optional(1)
        if shape is not None and shape.data is not None:
            return tuple(int(d) for d in shape.data.reshape(-1))
        attrs = view.node.attrs
        if isinstance(attrs, ReshapeAttributes) and attrs.new_shape is not None:
            return attrs.new_shape
        return view.output().shape
