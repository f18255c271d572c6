"""Geometry of ops with a window: the members of their parameters, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.filters import Filters, constant_filters
from edgepack.ops.shared.kernel import Overlap
from edgepack.ops.shared.streaming import streaming_lead
from edgepack.types import Shape

Fields = tuple[tuple[str, int], ...]
Pair = tuple[int, int]  # vertical, horizontal

# The members that decide which code the gathering of windows needs (kernel.Params.structural).
WINDOW_STRUCTURE = (
    "batches",
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "dilation_h",
    "dilation_w",
    "pad_top",
    "pad_left",
)


def window_fields(
    x: Shape,
    out: Shape,
    kernel: Pair,
    strides: Pair,
    pads: Pair,
    *,
    dilations: Pair | None = None,
    channels: str = "in_c",
    window: str = "kernel",
    after_out: Fields = (),
    after_kernel: Fields = (),
) -> Fields:
    """The members with which the parameters of an op with a window begin.

    Args:
        x, out: NHWC shapes of input and output.
        pads: before the first row and column.
        dilations: None for ops without.
        channels, window: what the input's channels and the window are called.
        after_out, after_kernel: further members behind the output's and the window's extents.
    """
    dilated = () if dilations is None else _both("dilation", dilations)
    return (
        ("batches", x[0]),
        *_both("in", (x[1], x[2])),
        (channels, x[3]),
        *_both("out", (out[1], out[2])),
        *after_out,
        *_both(window, kernel),
        *after_kernel,
        *_both("stride", strides),
        *dilated,
        ("pad_top", pads[0]),
        ("pad_left", pads[1]),
    )


@dataclass(frozen=True, eq=False)
class Ungrouped:
    """A convolution of one group with constant weights; `fields`: geometry without group_c."""

    fields: dict[str, int]
    filters: Filters


def _both(name: str, pair: Pair) -> Fields:
    return ((f"{name}_h", pair[0]), (f"{name}_w", pair[1]))


def ungrouped(view: NodeView, geometry: Fields, activation: str) -> Ungrouped | None:
    """What every fast kernel of CONV_2D starts from, or None where the portable one is needed."""
    fields = dict(geometry)
    filters = constant_filters(view, activation)
    if filters is None or fields.pop("group_c") != fields["in_c"]:
        return None
    return Ungrouped(fields, filters)


def grows(g: dict[str, int]) -> bool:
    """Whether a convolution should run from the last position to the first.

    Then a 1x1 convolution with more channels behind it than before can overwrite its input.
    """
    return is_pointwise(g) and g["out_c"] > g["in_c"]


def is_pointwise(g: dict[str, int]) -> bool:
    """Whether output position n reads exactly input position n."""
    one = ("kernel_h", "kernel_w", "stride_h", "stride_w")
    return all(g[name] == 1 for name in one) and g["pad_top"] == g["pad_left"] == 0


def window_runs(g: dict[str, int]) -> tuple[int, int]:
    """How many runs of neighbouring bytes a window has, and how long they are."""
    if g["dilation_w"] == 1 or g["kernel_w"] == 1:
        return g["kernel_h"], g["kernel_w"] * g["in_c"]
    return g["kernel_h"] * g["kernel_w"], g["in_c"]


def conv_overlaps(
    g: dict[str, int], in_bytes: int, block: int, *, reverse: bool
) -> tuple[Overlap, ...]:
    """Overlap of output and input; within a block of positions all reads come before the writes.

    Args:
        reverse: from the last block to the first (only where is_pointwise).
    """
    if g["batches"] != 1:
        return ()
    if reverse:  # a block overwrites only inputs of later positions, which are done
        return (Overlap(0, 0, block * (g["out_c"] - g["in_c"]), "after"),)
    positions = g["out_h"] * g["out_w"]
    starts = range(0, positions, block)
    ends = [min(s + block, positions) * g["out_c"] for s in starts]
    reads = []
    for s in starts:
        oy, ox = divmod(s, g["out_w"])
        y = max(0, oy * g["stride_h"] - g["pad_top"])
        x = max(0, ox * g["stride_w"] - g["pad_left"])
        later = max(0, (oy + 1) * g["stride_h"] - g["pad_top"])  # first row of the next line
        first = min(y * g["in_w"] + x, later * g["in_w"])
        reads.append(min(first * g["in_c"], in_bytes))
    return (Overlap(0, 0, streaming_lead(ends, reads, in_bytes)),)
