"""UNPACK: the slices of a tensor along one dimension, each without that dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.move import MOVED, check_moved, resolve_axis
from edgepack.ops.shared.pieces import lower_split
from edgepack.types import Array, Shape


@dataclass(frozen=True)
class UnpackAttributes(Attributes):
    """The dimension, negative counts from the back."""

    axis: int = 0


class Unpack(Op):
    """One output per index of the dimension."""

    name = "UNPACK"
    types = MOVED
    arity = (1, 1)
    notes = "free along the outermost dimension where the graph allows it"

    def attributes(self, options: Any) -> Attributes:
        return UnpackAttributes(int(options.axis))

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)
        extent = view.input(0).shape[self._axis(view)]
        if len(view.outputs) != extent:
            raise unsupported(view, f"{len(view.outputs)} outputs for an extent of {extent}")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape, axis = view.input(0).shape, self._axis(view)
        return ((*shape[:axis], *shape[axis + 1 :]),) * len(view.outputs)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        data, axis = inputs[0], self._axis(view)
        assert data is not None
        return tuple(ensure_shape(data.take(i, axis), out) for i, out in enumerate(view.outputs))

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return lower_split(view, 0, self._axis(view))

    def _axis(self, view: NodeView) -> int:
        assert isinstance(view.node.attrs, UnpackAttributes)
        return resolve_axis(view, view.node.attrs.axis, len(view.input(0).shape))
