"""ARG_MAX and ARG_MIN share all but the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from edgepack.ops.shared.axis import around, constant_axis
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.types import Array, DType, Shape


class ArgExtreme(Op):
    """The index of the first extreme element along a constant dimension."""

    types = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    arity = (2, 2)
    notes = (
        "axis constant; int32 inputs and INT64 outputs as LiteRT, int16 as int8 (TFLM has int8 and "
        "float to INT32 only); NaN is never better"
    )
    kernel: ClassVar[str]
    largest: ClassVar[bool]

    def check(self, view: NodeView) -> None:
        super().check(view)
        constant_axis(view, 1)
        if view.output().dtype not in (DType.INT32, DType.INT64):
            raise unsupported(view, f"an output of {view.output().dtype.value}")
        if view.input(0).elements == 0:
            raise unsupported(view, "no elements to compare")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape, axis = view.input(0).shape, constant_axis(view, 1)
        return (shape[:axis] + shape[axis + 1 :],)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        lines = np.moveaxis(x, constant_axis(view, 1), 0)
        best, index = lines[0], np.zeros(lines.shape[1:], np.int64)
        for n, line in enumerate(lines[1:], start=1):
            better = line > best if self.largest else line < best
            best = np.where(better, line, best)
            index = np.where(better, n, index)
        return (ensure_shape(index, view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, out = view.input(0), view.output()
        split = around(x.shape, constant_axis(view, 1))
        params = Params(
            "ep_arg_params",
            (("outer", split.outer), ("size", split.size), ("inner", split.inner)),
        )
        return KernelCall(
            f"{self.kernel}_{x.dtype.suffix}_{out.dtype.suffix}",
            "ep_arg_extreme.h",
            (params, Input(0), Output(0)),
            reason="portable C99 reference",
        )
