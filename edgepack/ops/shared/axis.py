"""Ops along one constant dimension: the elements before, along and after it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.types import DType, Shape


@dataclass(frozen=True)
class Around:
    """The product of the sizes before, the size of, and the product after a dimension."""

    outer: int
    size: int
    inner: int


def constant_axis(view: NodeView, slot: int) -> int:
    """The single dimension that input `slot` names, not negative.

    Raises:
        UnsupportedError: it is computed at run time, not one INT32, or out of range.
    """
    value, rank = view.const(slot, "axis").reshape(-1), len(view.input(0).shape)
    if view.input(slot).dtype is not DType.INT32 or value.size != 1:
        raise unsupported(view, "the axis must be one INT32")
    if not -rank <= value[0] < rank:
        raise unsupported(view, f"axis {value[0]} of {rank} dimensions")
    return int(value[0]) % rank


def around(shape: Shape, axis: int) -> Around:
    """Split a shape at a dimension."""
    return Around(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
