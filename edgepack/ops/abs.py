"""ABS: the distance of each element from zero."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, unary_call
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    quantize_multiplier,
    requantize,
)
from edgepack.ops.shared.kernel import Lowered
from edgepack.types import Array, DType


class Abs(Unary):
    """Rescaled only where the scales of input and output differ."""

    name = "ABS"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    kernel = "ep_abs"

    def apply(self, view: NodeView, x: Array) -> Array:
        out = view.output()
        if out.dtype is DType.FLOAT32:
            return np.abs(x)
        size = np.abs(x.astype(np.int64) - view.input(0).zero_point)
        factor = self._factor(view)
        if factor is not None:
            size = requantize(size, factor.value, factor.shift)
        result: Array = np.clip(size + out.zero_point, *INTEGER_RANGE[out.dtype])
        return result

    def lower_wide(self, view: NodeView) -> Lowered:
        if view.output().dtype is DType.FLOAT32:
            return super().lower_wide(view)
        factor = self._factor(view)
        fields = (
            ("rescale", factor is not None),
            ("multiplier", factor.value if factor else 0),
            ("shift", factor.shift if factor else 0),
        )
        return unary_call(view, "ep_abs_s16", "ep_unary.h", "ep_abs_s16_params", fields)

    def _factor(self, view: NodeView) -> Multiplier | None:
        """The ratio of the scales in float64; None where they are equal."""
        source, target = view.input(0).scale, view.output().scale
        return None if source == target else quantize_multiplier(source / target)
