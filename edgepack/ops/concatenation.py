"""CONCATENATION: tensors one after another along one dimension."""

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
from edgepack.ops.shared.window import ACTIVATIONS
from edgepack.types import Array, DType, Shape


@dataclass(frozen=True)
class ConcatenationAttributes(Attributes):
    """The dimension, negative counts from the back."""

    axis: int = 0
    activation: str = "NONE"


class Concatenation(Op):
    """Quantized inputs must have the output's scale and zero point."""

    name = "CONCATENATION"
    types = MOVED
    arity = (1, 1 << 16)
    notes = "free along the outermost dimension where the graph allows it; any number of inputs"

    def attributes(self, options: Any) -> Attributes:
        return ConcatenationAttributes(
            int(options.axis), ACTIVATIONS[options.fusedActivationFunction]
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        attrs = self._attrs(view)
        if attrs.activation != "NONE":
            raise unsupported(view, f"no kernel with {attrs.activation}")
        out = view.output()
        for slot in range(len(view.inputs)):
            check_moved(view, slot)
            piece = view.input(slot)
            if piece.dtype is DType.INT16 and piece.zero_point:
                raise unsupported(view, f"input {slot} has zero point {piece.zero_point}, not 0")
            if piece.dtype is DType.INT8 and (piece.quant is None) != (out.quant is None):
                raise unsupported(view, f"only one of input {slot} and output is quantized")
            if piece.dtype is not DType.INT8 or piece.quant is None:
                continue
            if (piece.scale, piece.zero_point) != (out.scale, out.zero_point):
                raise unsupported(
                    view,
                    f"input {slot} has scale {piece.scale!r} and zero point {piece.zero_point}, "
                    f"the output {out.scale!r} and {out.zero_point}",
                    rewrite="quantize the model again with one scale for all inputs",
                )

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        first = view.input(0).shape
        axis = resolve_axis(view, self._attrs(view).axis, len(first))
        total = 0
        for slot in range(len(view.inputs)):
            shape = view.input(slot).shape
            if (
                len(shape) != len(first)
                or shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]
            ):
                raise unsupported(view, f"input {slot} does not fit input 0 along dimension {axis}")
            total += shape[axis]
        return ((*first[:axis], total, *first[axis + 1 :]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        pieces = [piece for piece in inputs if piece is not None]
        return (ensure_shape(np.concatenate(pieces, self._attrs(view).axis), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        axis = resolve_axis(view, self._attrs(view).axis, len(view.output().shape))
        return lower_join(view, axis)

    def _attrs(self, view: NodeView) -> ConcatenationAttributes:
        assert isinstance(view.node.attrs, ConcatenationAttributes)
        return view.node.attrs
