"""POW: operand 0 to the power of operand 1."""

from __future__ import annotations

import numpy as np

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.binary import Binary
from edgepack.ops.shared.fixed_point import wrap_int32
from edgepack.types import Array, DType


class Pow(Binary):
    """Through exp and log in double precision; int32 by squaring."""

    name = "POW"
    types = (DType.INT32, DType.FLOAT32)
    kernel = "ep_pow"
    notes = (
        "as in LiteRT (TFLM has no such kernel); int32 wraps, and negative int32 exponents give "
        "the integer part of the power, where LiteRT stops with an error"
    )

    def apply(self, view: NodeView, a: Array, b: Array) -> Array:
        if view.output().dtype is DType.FLOAT32:
            return np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
        base, exponent = np.broadcast_arrays(a.astype(np.int64), b.astype(np.int64))
        result, factor = np.ones(base.shape, np.int64), base.copy()
        rest = np.maximum(exponent, 0)
        while rest.any():
            result = np.where(rest & 1, wrap_int32(result * factor), result)
            factor = wrap_int32(factor * factor)
            rest = rest >> 1
        odd = np.where(exponent & 1, base, 1)
        fraction = np.where(np.abs(base) == 1, odd, 0)
        return np.where(exponent < 0, fraction, result)
