"""MAXIMUM and MINIMUM share all but the comparison."""

from __future__ import annotations

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Binary
from edgepack.ops.shared.elementwise import require_one_scale
from edgepack.types import DType


class Extreme(Binary):
    """Base: quantized operands are compared as they are, so all tensors share one scale."""

    types = (DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32)
    notes = "integers: inputs and output need one scale, because TFLM does not rescale"

    def check(self, view: NodeView) -> None:
        super().check(view)
        if view.output().dtype in (DType.INT8, DType.INT16):
            require_one_scale(view, view.input(0), view.input(1), view.output())
