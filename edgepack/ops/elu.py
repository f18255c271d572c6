"""ELU: exp(x) - 1 below zero, x from zero on."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary, float_table
from edgepack.ops.shared.float_math import in_double
from edgepack.types import Array, DType


class Elu(Unary):
    """int8 is TFLite's table, whose exp(x) - 1 is taken in float32."""

    name = "ELU"
    types = (DType.INT8, DType.FLOAT32)
    header = "ep_activation.h"
    kernel = "ep_elu"
    params = "ep_activation_params"

    def apply(self, view: NodeView, x: Array) -> Array:
        if x.dtype == np.float32:
            return np.where(x < 0, in_double(np.expm1)(np.minimum(x, 0)), x)

        def elu(v: Array) -> Array:
            return np.where(v < 0, in_double(np.exp)(np.minimum(v, 0)) - np.float32(1), v)

        return float_table(view, x, elu)
