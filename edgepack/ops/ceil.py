"""CEIL: the smallest integer that is not less."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType


class Ceil(Unary):
    """Float only, as in TFLM."""

    name = "CEIL"
    types = (DType.FLOAT32,)
    kernel = "ep_ceil"

    def apply(self, view: NodeView, x: Array) -> Array:
        return in_double(np.ceil)(x)
