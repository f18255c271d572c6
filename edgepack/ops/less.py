"""LESS: whether operand 0 is less than operand 1."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.comparison import Comparison


class Less(Comparison):
    """Numbers in their own type, int8 in real numbers."""

    name = "LESS"
    kernel = "ep_less"
    ufunc = np.less
