"""REDUCE_ALL: whether every element is true, over any dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, ensure_shape
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.reduce import Reduce
from edgepack.types import Array, DType


class ReduceAll(Reduce):
    """Logical and of booleans."""

    name = "REDUCE_ALL"
    types = (DType.BOOL,)
    kernel = "ep_reduce_all"
    notes = "axes constant"

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (ensure_shape(np.asarray(x.all(axis=self.axes(view))), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return self.call(view, "b8", "ep_reduce_params", ())
