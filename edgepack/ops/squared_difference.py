"""SQUARED_DIFFERENCE: (a - b) * (a - b) of two broadcast operands."""

from __future__ import annotations

import numpy as np

from edgepack.ops.add import Rescale
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Binary, binary_call
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    quantize_multiplier,
    requantize,
    wrap_int32,
)
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.types import Array, DType

_LEFT_SHIFT = {DType.INT8: 7, DType.INT16: 0}  # so that the square fits into int32


class SquaredDifference(Binary):
    """Integers are subtracted at twice the larger scale; int32 wraps."""

    name = "SQUARED_DIFFERENCE"
    types = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    kernel = "ep_squared_difference"

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        out = view.output()
        if out.dtype is DType.FLOAT32:
            return (a - b) ** 2
        if out.dtype is DType.INT32:
            difference = wrap_int32(a.astype(np.int64) - b)
            return wrap_int32(difference * difference)
        scale = self._rescale(view)

        def common(x: Array, slot: int, factor: Multiplier) -> Array:
            shifted = (x.astype(np.int64) - view.input(slot).zero_point) << scale.left_shift
            return requantize(shifted, factor.value, factor.shift)

        difference = common(a, 0, scale.first) - common(b, 1, scale.second)
        square = wrap_int32(difference * difference)
        result = requantize(square, scale.output.value, scale.output.shift)
        return np.clip(wrap_int32(result + out.zero_point), *INTEGER_RANGE[out.dtype])

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        dtype = view.output().dtype
        if dtype not in _LEFT_SHIFT:
            return super().lower(view, isa)
        scale = self._rescale(view)
        low, high = INTEGER_RANGE[dtype]
        return binary_call(
            view,
            f"{self.kernel}_{dtype.suffix}",
            self.header,
            "ep_add_params",
            (
                ("offset1", -view.input(0).zero_point),
                ("offset2", -view.input(1).zero_point),
                ("output_offset", view.output().zero_point),
                ("left_shift", scale.left_shift),
                ("multiplier1", scale.first.value),
                ("shift1", scale.first.shift),
                ("multiplier2", scale.second.value),
                ("shift2", scale.second.shift),
                ("multiplier", scale.output.value),
                ("shift", scale.output.shift),
                ("act_min", low),
                ("act_max", high),
            ),
        )

    def _rescale(self, view: NodeView) -> Rescale:
        a, b, out = view.input(0), view.input(1), view.output()
        left_shift = _LEFT_SHIFT[out.dtype]
        common = 2.0 * max(a.scale, b.scale)
        unit = np.float32(1 << (2 * left_shift)) * np.float32(out.scale)
        return Rescale(
            quantize_multiplier(a.scale / common),
            quantize_multiplier(b.scale / common),
            quantize_multiplier(common * common / float(unit)),
            left_shift,
        )
