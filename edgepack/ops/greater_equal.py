"""GREATER_EQUAL: whether operand 0 is at least operand 1."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.comparison import Comparison


class GreaterEqual(Comparison):
    """Numbers in their own type, int8 in real numbers."""

    name = "GREATER_EQUAL"
    kernel = "ep_greater_equal"
    ufunc = np.greater_equal
