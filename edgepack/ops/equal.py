"""EQUAL: whether operand 0 is equal to operand 1."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.comparison import Comparison
from edgepack.types import DType


class Equal(Comparison):
    """Numbers in their own type, int8 in real numbers."""

    name = "EQUAL"
    kernel = "ep_equal"
    ufunc = np.equal
    types = (*Comparison.types, DType.BOOL)
