"""Float functions in numpy, computed in double precision and rounded once to float32."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgepack.types import Array

F32 = npt.NDArray[np.float32]

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def in_double(function: Callable[[Array], Array]) -> Callable[[Array], F32]:
    """`function` with float32 arguments and results and double precision in between.

    Division by zero, logarithms of negative numbers and overflow give infinities and NaN silently,
    as they do in C.
    """

    def wrapped(x: Array) -> F32:
        with np.errstate(all="ignore"):
            return np.asarray(function(np.asarray(x, np.float64)), np.float64).astype(np.float32)

    return wrapped


def gelu(x: Array, *, approximate: bool) -> F32:
    """x times the normal distribution's cumulative function, or TFLite's tanh form of it."""
    wide = np.asarray(x, np.float64)
    if approximate:
        inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
        return np.asarray(0.5 * wide * (1 + np.tanh(inner)), np.float32)
    if not wide.size:
        return np.asarray(wide, np.float32)
    return np.asarray(0.5 * wide * _erfc(-wide * math.sqrt(0.5)), np.float32)


def hard_swish(x: Array) -> F32:
    """x * clamp(x + 3, 0, 6) / 6 in float32."""
    single = np.asarray(x, np.float32)
    gate = np.clip(single + np.float32(3), np.float32(0), np.float32(6))
    return np.asarray(single * gate / np.float32(6), np.float32)
