"""REDUCE_MIN: the smallest element over any dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView, ensure_shape
from edgepack.ops.shared.reduce import ExtremeReduce
from edgepack.types import Array


class ReduceMin(ExtremeReduce):
    """The smallest element; scales are equal."""

    name = "REDUCE_MIN"
    kernel = "ep_reduce_min"
    notes = "axes constant; int16 and int32 as LiteRT (TFLM has none)"

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (ensure_shape(x.min(axis=self.axes(view)), view.output()),)
