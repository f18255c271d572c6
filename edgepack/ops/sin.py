"""SIN: sine of radians."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType


class Sin(Unary):
    """Float only, as in TFLM."""

    name = "SIN"
    types = (DType.FLOAT32,)
    kernel = "ep_sin"

    def apply(self, view: NodeView, x: Array) -> Array:
        return in_double(np.sin)(x)
