"""LOGICAL_NOT of each element."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.elementwise import Unary
from edgepack.types import Array, DType


class LogicalNot(Unary):
    """True where the operand is false."""

    name = "LOGICAL_NOT"
    types = (DType.BOOL,)
    kernel = "ep_logical_not"

    def apply(self, view: NodeView, x: Array) -> Array:
        return np.logical_not(x)
