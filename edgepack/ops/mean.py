"""MEAN over any dimensions; over height and width it is global average pooling."""

from __future__ import annotations

from edgepack.ops.shared.reduce import SumReduce
from edgepack.types import DType


class Mean(SumReduce):
    """The sum times input scale / (count * output scale), requantized once."""

    name = "MEAN"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    notes = "axes constant"
    mean = True
