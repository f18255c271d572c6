"""PACK: tensors of one shape stacked along a new dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.move import MOVED, check_moved, resolve_axis
from edgepack.ops.shared.pieces import lower_join
from edgepack.types import Array, Shape


@dataclass(frozen=True)
class PackAttributes(Attributes):
    """Position of the new dimension in the output, negative counts from the back."""

    axis: int = 0


class Pack(Op):
    """Bytes are copied; scales are not looked at (nor are they in TFLite)."""

    name = "PACK"
    types = MOVED
    arity = (1, 1 << 16)
    notes = "free along the outermost dimension where the graph allows it"

    def attributes(self, options: Any) -> Attributes:
        return PackAttributes(int(options.axis))

    def check(self, view: NodeView) -> None:
        super().check(view)
        for slot in range(len(view.inputs)):
            check_moved(view, slot)
            if view.input(slot).shape != view.input(0).shape:
                raise unsupported(view, f"input {slot} has another shape than input 0")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape, axis = view.input(0).shape, self._axis(view)
        return ((*shape[:axis], len(view.inputs), *shape[axis:]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        pieces = [piece for piece in inputs if piece is not None]
        return (ensure_shape(np.stack(pieces, self._axis(view)), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return lower_join(view, self._axis(view))

    def _axis(self, view: NodeView) -> int:
        assert isinstance(view.node.attrs, PackAttributes)
        return resolve_axis(view, view.node.attrs.axis, len(view.input(0).shape) + 1)
