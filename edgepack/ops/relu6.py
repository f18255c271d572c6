"""RELU6 that is not fused into another op."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, require_one_scale
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.relu import clamp_call
from edgepack.types import Array, DType


class Relu6(Unary):
    """Clamp to [0, 6] in the input's integers, as TFLM does."""

    name = "RELU6"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    notes = "integers: input and output need one scale, because TFLM does not rescale"

    def check(self, view: NodeView) -> None:
        super().check(view)
        if view.output().dtype is not DType.FLOAT32:
            require_one_scale(view, view.input(0), view.output())

    def apply(self, view: NodeView, x: Array) -> Array:
        low, high = self._range(view)
        return np.where(x > high, high, np.where(x < low, low, x))

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return clamp_call(view, *self._range(view))

    def _range(self, view: NodeView) -> tuple[float, float]:
        x = view.input(0)
        if x.dtype is DType.FLOAT32:
            return 0.0, 6.0
        return activation_range("RELU6", x.dtype, x.scale, x.zero_point)
