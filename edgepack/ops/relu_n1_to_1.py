"""RELU_N1_TO_1 that is not fused into another op."""

from __future__ import annotations

from edgepack.ops.shared.relu import ClampOp
from edgepack.types import DType


class ReluN1To1(ClampOp):
    """Clamp to [-1, 1], requantized to the output's scale."""

    name = "RELU_N1_TO_1"
    types = (DType.INT8, DType.FLOAT32)
    activation = "RELU_N1_TO_1"
    notes = "as in LiteRT (TFLM has no such kernel)"
