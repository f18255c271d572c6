"""SQUARE: the product of each element with itself."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType


class Square(Unary):
    """Float only, as in TFLM."""

    name = "SQUARE"
    types = (DType.FLOAT32,)
    kernel = "ep_square"

    def apply(self, view: NodeView, x: Array) -> Array:
        return in_double(np.square)(x)
