"""SUM over any dimensions."""

from __future__ import annotations

from edgepack.ops.shared.reduce import SumReduce
from edgepack.types import DType


class Sum(SumReduce):
    """int8 and int16 are requantized to the output's scale; int32 wraps (LiteRT's kernel)."""

    name = "SUM"
    types = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    notes = "axes constant; int32 as LiteRT (TFLM has none)"
    mean = False
