"""ZEROS_LIKE: a tensor of zeros with the shape of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op
from edgepack.ops.shared.kernel import Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.move import MOVED, check_moved, kernel_suffix
from edgepack.types import Array, Shape


class ZerosLike(Op):
    """The stored value is 0 whatever the zero point, as in TFLite."""

    name = "ZEROS_LIKE"
    types = MOVED
    arity = (1, 1)
    notes = "stores 0, not the zero point"

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        return (np.zeros(view.output().shape, view.output().dtype.numpy),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        out = view.output()
        params = Params("ep_fill_params", (("count", out.elements),))
        return KernelCall(f"ep_zero_{kernel_suffix(out.dtype)}", "ep_fill.h", (params, Output(0)))
