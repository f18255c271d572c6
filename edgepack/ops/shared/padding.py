"""The paddings input of PAD, PADV2 and MIRROR_PAD, and the loops of their kernels."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.move import constant_ints
from edgepack.types import Shape

MAX_PAD_DIMS = 6  # loop depth of firmware/kernels/ep_pad.h

Paddings = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PadPlan:
    """Extents of output and input and the padding before the input, dimensions merged."""

    out: tuple[int, ...]
    inside: tuple[int, ...]
    before: tuple[int, ...]

    def fields(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The members of ep_pad_params."""
        fill = MAX_PAD_DIMS - len(self.out)
        return (
            ("out", (1,) * fill + self.out),
            ("in", (1,) * fill + self.inside),
            ("before", (0,) * fill + self.before),
        )


def read_paddings(view: NodeView) -> Paddings:
    """(before, after) of each dimension.

    Raises:
        UnsupportedError: not one pair per dimension, or not constant.
    """
    values, rank = constant_ints(view, 1, "paddings"), len(view.input(0).shape)
    if len(values) != 2 * rank:
        raise unsupported(view, f"{len(values)} paddings for a tensor of rank {rank}")
    if min(values, default=0) < 0:
        raise unsupported(view, f"negative padding {min(values)}")
    return tuple(zip(values[::2], values[1::2], strict=True))


def padded_shape(view: NodeView) -> Shape:
    """The input's shape with its paddings."""
    pairs = zip(view.input(0).shape, read_paddings(view), strict=True)
    return tuple(before + size + after for size, (before, after) in pairs)


def plan_pad(shape: Shape, paddings: Paddings) -> PadPlan:
    """Merge every dimension without padding into the one before it."""
    out: list[int] = []
    inside: list[int] = []
    before: list[int] = []
    for size, (low, high) in zip(shape, paddings, strict=True):
        if out and low == high == 0:
            out[-1], inside[-1], before[-1] = out[-1] * size, inside[-1] * size, before[-1] * size
        else:
            out.append(low + size + high)
            inside.append(size)
            before.append(low)
    return PadPlan(tuple(out), tuple(inside), tuple(before))
