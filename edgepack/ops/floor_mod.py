"""FLOOR_MOD: the remainder of a / b, with the sign of b."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Binary
from edgepack.types import Array, DType


class FloorMod(Binary):
    """The float remainder is exact before the divisor is added."""

    name = "FLOOR_MOD"
    types = (DType.INT32, DType.FLOAT32)
    kernel = "ep_floor_mod"
    notes = "INT32 as in LiteRT, but 0 for a divisor of 0, where LiteRT stops with an error"

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        if view.output().dtype is DType.FLOAT32:
            rest = np.fmod(a, b)
            return np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)
        divisor = np.where(b == 0, 1, b).astype(np.int64)
        return a.astype(np.int64) % divisor
