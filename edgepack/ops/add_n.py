"""ADD_N: the sum of two or more tensors of one shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.elementwise import (
    require_one_scale,
    require_quantized,
    same_element_overlaps,
)
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    quantize_multiplier,
    requantize,
    wrap_int32,
)
from edgepack.ops.shared.kernel import (
    FieldValue,
    InputArray,
    Isa,
    KernelCall,
    Lowered,
    Output,
    Params,
)
from edgepack.types import Array, DType, Shape

_MOST_INPUTS = 14  # sums of 256 << 19 each, and one more, stay in int32


class AddN(Op):
    """int8 inputs share one scale; their sum starts at minus their zero point, as in TFLM."""

    name = "ADD_N"
    types = (DType.INT8, DType.FLOAT32)
    arity = (2, _MOST_INPUTS)
    notes = f"up to {_MOST_INPUTS} inputs; int8 repeats TFLM's sum, which subtracts the zero point "
    notes += "once too often"

    def check(self, view: NodeView) -> None:
        super().check(view)
        tensors = [view.input(slot) for slot in range(len(view.inputs))]
        for tensor in (*tensors[1:], view.output()):
            if tensor.dtype is not tensors[0].dtype:
                raise unsupported(view, "inputs and output must have one type")
        if any(t.shape != tensors[0].shape for t in tensors):
            raise unsupported(view, "inputs must have one shape")
        if tensors[0].dtype is DType.INT8:
            require_quantized(view, *tensors, view.output())
            require_one_scale(view, *tensors)

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        given = [x for x in inputs if x is not None]
        out = view.output()
        if out.dtype is DType.FLOAT32:
            total = np.zeros(out.shape, np.float32)
            for x in given:
                total = total + x
            return (ensure_shape(total, out),)
        offset, factor = -view.input(0).zero_point, self._factor(view)
        wide = sum((x.astype(np.int64) + offset for x in given), np.full(out.shape, offset))
        result = requantize(wrap_int32(wide << 19), factor.value, factor.shift) + out.zero_point
        return (ensure_shape(np.clip(result, *INTEGER_RANGE[out.dtype]), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        out = view.output()
        fields: list[tuple[str, FieldValue]] = [
            ("count", out.elements),
            ("inputs", len(view.inputs)),
        ]
        ctype = "ep_add_n_f32_params"
        if out.dtype is DType.INT8:
            factor, ctype = self._factor(view), "ep_add_n_params"
            fields += [
                ("offset", -view.input(0).zero_point),
                ("output_offset", out.zero_point),
                ("multiplier", factor.value),
                ("shift", factor.shift),
            ]
        slots = tuple(range(len(view.inputs)))
        return KernelCall(
            f"ep_add_n_{out.dtype.suffix}",
            "ep_add_n.h",
            (Params(ctype, tuple(fields)), InputArray(slots), Output(0)),
            overlaps=same_element_overlaps(view),
            reason="portable C99 reference",
        )

    def _factor(self, view: NodeView) -> Multiplier:
        return quantize_multiplier(2 * view.input(0).scale / ((1 << 20) * view.output().scale))
