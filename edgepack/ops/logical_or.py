"""LOGICAL_OR of two broadcast operands."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Binary
from edgepack.types import Array, DType


class LogicalOr(Binary):
    """True where at least one operand is."""

    name = "LOGICAL_OR"
    types = (DType.BOOL,)
    kernel = "ep_logical_or"

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        return np.logical_or(a, b)
