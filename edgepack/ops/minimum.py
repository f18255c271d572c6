"""MINIMUM: the smaller of two broadcast operands."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.extreme import Extreme
from edgepack.types import Array


class Minimum(Extreme):
    """Where the operands do not compare (NaN), the second one."""

    name = "MINIMUM"
    kernel = "ep_minimum"

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        return np.where(a < b, a, b)
