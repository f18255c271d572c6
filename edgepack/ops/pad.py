"""PAD: a border of zeros (of the zero point, where the tensor is quantized)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.kernel import (
    Arg,
    Const,
    Input,
    Isa,
    KernelCall,
    Lowered,
    Output,
    Overlap,
    Params,
)
from edgepack.ops.shared.move import MOVED, check_moved, kernel_suffix, pitches
from edgepack.ops.shared.padding import (
    MAX_PAD_DIMS,
    padded_shape,
    plan_pad,
    read_paddings,
)
from edgepack.types import Array, DType, Shape


class Pad(Op):
    """Elements are copied as they are; input 1 holds the paddings, input 2 a value."""

    name = "PAD"
    types = MOVED
    arity = (2, 3)
    notes = "constant paddings; the input may be the tail of the output's memory"

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)
        if len(plan_pad(view.input(0).shape, read_paddings(view)).out) > MAX_PAD_DIMS:
            raise unsupported(view, f"more than {MAX_PAD_DIMS} dimensions with padding")
        value, out = view.optional(2), view.output()
        if value is None:
            return
        if value.dtype is not out.dtype or value.elements != 1:
            raise unsupported(view, f"its value (input 2) is {value.describe()}, not one element")
        if out.dtype is DType.INT8 and (value.quant is None) != (out.quant is None):
            raise unsupported(view, "only one of its value (input 2) and its output is quantized")
        if out.dtype is not DType.INT8 or value.quant is None:
            return
        if (value.scale, value.zero_point) != (out.scale, out.zero_point):
            raise unsupported(view, "its value (input 2) has another scale than its output")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (padded_shape(view),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        data, out = inputs[0], view.output()
        assert data is not None
        given = inputs[2] if len(inputs) > 2 else None
        value = self._default(view) if given is None else given.reshape(1)
        padded = np.full(out.shape, value[0], out.dtype.numpy)
        box = zip(read_paddings(view), data.shape, strict=True)
        padded[tuple(slice(low, low + size) for (low, _), size in box)] = data
        return (ensure_shape(padded, out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        source, out = view.input(0), view.output()
        plan = plan_pad(source.shape, read_paddings(view))
        value: Arg = Const("pad_value", self._default(view), role="tables")
        if view.optional(2) is not None:
            value = Input(2)
        return KernelCall(
            f"ep_pad_{kernel_suffix(out.dtype)}",
            "ep_pad.h",
            (Params("ep_pad_params", plan.fields()), Input(0), value, Output(0)),
            overlaps=(Overlap(0, 0, self._lead(view)),) if source.elements else (),
            reason="fills and copies row by row",
        )

    def _default(self, view: NodeView) -> Array:
        """What stands for zero: TFLite takes the zero point for int8 only."""
        out = view.output()
        value = out.zero_point if out.dtype in (DType.INT8, DType.UINT8) else 0
        return np.array([value], out.dtype.numpy)

    def _lead(self, view: NodeView) -> int:
        """Bytes of padding written before the input's last element.

        If the input starts that far inside the output, no element is overwritten before it is read.
        """
        shape, out = view.input(0).shape, view.output()
        last = sum(
            (low + size - 1) * step
            for (low, _), size, step in zip(
                read_paddings(view), shape, pitches(out.shape), strict=True
            )
        )
        return (last - (math.prod(shape) - 1)) * out.dtype.itemsize
