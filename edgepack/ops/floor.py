"""FLOOR: the largest integer that is not greater."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType


class Floor(Unary):
    """Float only, as in TFLM."""

    name = "FLOOR"
    types = (DType.FLOAT32,)
    kernel = "ep_floor"

    def apply(self, view: NodeView, x: Array) -> Array:
        return in_double(np.floor)(x)
