"""SELECT and SELECT_V2 share all but how the condition broadcasts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.broadcast import MAX_DIMS, broadcast_shape, walk_operands
from edgepack.ops.shared.elementwise import require_one_scale, same_element_overlaps
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.types import Array, DType, Shape


class Choice(Op):
    """Base: input 0 is the condition, elements come from input 1 where it holds, else from 2."""

    types = (
        DType.INT8,
        DType.UINT8,
        DType.BOOL,
        DType.INT16,
        DType.INT32,
        DType.INT64,
        DType.FLOAT32,
    )
    type_slot = 1
    arity = (3, 3)

    @abstractmethod
    def condition_shape(self, view: NodeView) -> Shape:
        """The condition's shape, padded so that it broadcasts from the last dimension."""

    def check(self, view: NodeView) -> None:
        super().check(view)
        condition, x, y, out = view.input(0), view.input(1), view.input(2), view.output()
        if condition.dtype is not DType.BOOL:
            raise unsupported(view, f"a condition of {condition.dtype.value}, allowed BOOL")
        if not x.dtype is y.dtype is out.dtype:
            raise unsupported(view, "operands and output must have one type")
        if x.dtype in (DType.INT8, DType.INT16) and x.quant is not None:
            if y.quant is None or out.quant is None:
                raise unsupported(view, "operands and output must have one scale")
            require_one_scale(view, x, y, out)
        if len(self._walk(view)[0]) > MAX_DIMS:
            raise unsupported(view, f"broadcasting over more than {MAX_DIMS} dimensions")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        shape: Shape | None = self.condition_shape(view)
        for operand in (view.input(1), view.input(2)):
            shape = None if shape is None else broadcast_shape(shape, operand.shape)
        if shape is None:
            raise unsupported(view, "the shapes do not broadcast")
        return (shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        condition, x, y = inputs
        assert condition is not None and x is not None and y is not None
        chosen = np.where(condition.reshape(self.condition_shape(view)), x, y)
        return (ensure_shape(chosen, view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        dims, strides = self._walk(view)
        fill = MAX_DIMS - len(dims)
        names = ("condition", "stride1", "stride2")
        walks = zip(names, strides, strict=True)
        fields = (("dims", (1,) * fill + dims), *((n, (0,) * fill + s) for n, s in walks))
        return KernelCall(
            f"ep_select_{view.output().dtype.suffix}",
            "ep_select.h",
            (Params("ep_select_params", fields), Input(0), Input(1), Input(2), Output(0)),
            overlaps=same_element_overlaps(view),
            reason="portable C99 reference",
        )

    def _walk(self, view: NodeView) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        shapes = (self.condition_shape(view), view.input(1).shape, view.input(2).shape)
        return walk_operands(shapes, self.infer_shape(view)[0])
