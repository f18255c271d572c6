"""Geometry of convolutions that take several output positions at a time in raster order."""

from __future__ import annotations

from edgepack.ops.shared.kernel import Overlap
from edgepack.ops.shared.streaming import streaming_lead


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
