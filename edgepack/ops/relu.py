"""RELU that is not fused into another op."""

from __future__ import annotations

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import unary_call
from edgepack.ops.shared.kernel import Lowered
from edgepack.ops.shared.relu import ClampOp
from edgepack.types import DType


class Relu(ClampOp):
    """max(x, 0), requantized to the output's scale."""

    name = "RELU"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    activation = "RELU"

    def lower_wide(self, view: NodeView) -> Lowered:
        return unary_call(view, "ep_relu_f32", "ep_activation.h", "ep_activation_params")
