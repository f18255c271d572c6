"""GREATER: whether operand 0 is greater than operand 1."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.comparison import Comparison


class Greater(Comparison):
    """Numbers in their own type, int8 in real numbers."""

    name = "GREATER"
    kernel = "ep_greater"
    ufunc = np.greater
