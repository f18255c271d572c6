"""LOGICAL_AND of two broadcast operands."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Binary
from edgepack.types import Array, DType


class LogicalAnd(Binary):
    """True where both operands are."""

    name = "LOGICAL_AND"
    types = (DType.BOOL,)
    kernel = "ep_logical_and"

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        return np.logical_and(a, b)
