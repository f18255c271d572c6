"""LESS_EQUAL: whether operand 0 is at most operand 1."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.comparison import Comparison


class LessEqual(Comparison):
    """Numbers in their own type, int8 in real numbers."""

    name = "LESS_EQUAL"
    kernel = "ep_less_equal"
    ufunc = np.less_equal
