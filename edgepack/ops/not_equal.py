"""NOT_EQUAL: whether operand 0 is different from operand 1."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.comparison import Comparison
from edgepack.types import DType


class NotEqual(Comparison):
    """Numbers in their own type, int8 in real numbers."""

    name = "NOT_EQUAL"
    kernel = "ep_not_equal"
    ufunc = np.not_equal
    types = (*Comparison.types, DType.BOOL)
