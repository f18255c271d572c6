"""ROUND: the nearest integer, halves to even."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType


class Round(Unary):
    """Float only, as in TFLM."""

    name = "ROUND"
    types = (DType.FLOAT32,)
    kernel = "ep_round"

    def apply(self, view: NodeView, x: Array) -> Array:
        return in_double(np.rint)(x)
