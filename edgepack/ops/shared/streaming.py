"""When an output may run over an input that is still being read: the lead of a streaming kernel."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.kernel import Overlap


def streaming_lead(write_ends: Sequence[int], first_reads: Sequence[int], size: int) -> int:
    """The smallest safe lead of an output before its input (kernel.Overlap).

    The kernel works in steps; within a step all reads come before the writes.

    Args:
        write_ends: per step, the end of the bytes written so far, from the output's start.
        first_reads: per step, the lowest byte that this step reads, from the input's start.
        size: bytes of the input, the answer's lower limit being minus that.
    """
    lead = -size
    lowest = size
    for step in range(len(write_ends) - 2, -1, -1):
        lowest = min(lowest, first_reads[step + 1])
        lead = max(lead, write_ends[step] - lowest)
    return lead


def window_overlap(
    view: NodeView, strides: tuple[int, int], pads: tuple[int, int], *, by_channel: bool
) -> Overlap:
    """How far a kernel that fills its NHWC output in order may overwrite its NHWC input 0.

    Args:
        strides, pads: vertical and horizontal; pads before the first row and column.
        by_channel: output channel c reads input channel c only.
    """
    batches, height, width, channels = view.input(0).shape
    _, rows, columns, filters = view.output().shape
    itemsize = view.output().dtype.itemsize
    ends: list[int] = []
    reads: list[int] = []
    for position in range(batches * rows * columns):
        batch, rest = divmod(position, rows * columns)
        oy, ox = divmod(rest, columns)
        y = min(max(0, oy * strides[0] - pads[0]), height)
        x = min(max(0, ox * strides[1] - pads[1]), width)
        first = ((batch * height + y) * width + x) * channels * itemsize
        if not by_channel:  # all channels but the last are written before the last one's reads
            ends.append((position * filters + filters - 1) * itemsize)
            reads.append(first)
        ends.append((position + 1) * filters * itemsize)
        reads.append(first)
    lead = streaming_lead(ends, reads, view.input(0).nbytes)
    # By channel, an element may be overwritten as soon as its own channel is done, not sooner.
    return Overlap(0, 0, max(lead, 0) if by_channel else lead)
