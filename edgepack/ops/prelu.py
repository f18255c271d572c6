"""PRELU: a slope for negative numbers that is a tensor."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView, Op, unsupported
from edgepack.ops.shared.binary import Binary, Fields, binary_call, check_loops
from edgepack.ops.shared.elementwise import require_quantized
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    quantize_multiplier,
    requantize,
)
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.types import Array, DType

_ALPHA = {
    DType.INT8: DType.INT8,
    DType.INT16: DType.INT8,
    DType.FLOAT32: DType.FLOAT32,
}


class Prelu(Binary):
    """Operand 1 is the slope, broadcast against the input; int8 beside an int16 input."""

    name = "PRELU"
    types = tuple(_ALPHA)
    header = "ep_prelu.h"
    kernel = "ep_prelu"

    def check(self, view: NodeView) -> None:
        Op.check(self, view)
        x, alpha, out = view.input(0), view.input(1), view.output()
        if alpha.dtype is not _ALPHA[x.dtype] or out.dtype is not x.dtype:
            raise unsupported(
                view, f"allowed: a slope of {_ALPHA[x.dtype].value}, an output of {x.dtype.value}"
            )
        check_loops(view)
        if x.dtype is not DType.FLOAT32:
            require_quantized(view, x, alpha, out)

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        out = view.output()
        if out.dtype is DType.FLOAT32:
            return np.where(a >= 0, a, a * b)
        positive, negative = self._factors(view)
        x = a.astype(np.int64) - view.input(0).zero_point
        slope = b.astype(np.int64) - view.input(1).zero_point
        above = requantize(x, positive.value, positive.shift)
        below = requantize(x * slope, negative.value, negative.shift)
        result = np.where(x >= 0, above, below) + out.zero_point
        return np.asarray(result.clip(*INTEGER_RANGE[out.dtype]))

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        out = view.output()
        if out.dtype is DType.FLOAT32:
            return binary_call(view, "ep_prelu_f32", self.header, "ep_prelu_f32_params")
        positive, negative = self._factors(view)
        low, high = INTEGER_RANGE[out.dtype]
        fields: Fields = (
            ("input_offset", -view.input(0).zero_point),
            ("alpha_offset", -view.input(1).zero_point),
            ("output_offset", out.zero_point),
            ("multiplier", positive.value),
            ("shift", positive.shift),
            ("alpha_multiplier", negative.value),
            ("alpha_shift", negative.shift),
            ("act_min", low),
            ("act_max", high),
        )
        function = f"ep_prelu_{out.dtype.suffix}"
        return binary_call(view, function, self.header, "ep_prelu_params", fields)

    def _factors(self, view: NodeView) -> tuple[Multiplier, Multiplier]:
        x, alpha, out = view.input(0), view.input(1), view.output()
        return (
            quantize_multiplier(x.scale / out.scale),
            quantize_multiplier(x.scale * alpha.scale / out.scale),
        )
