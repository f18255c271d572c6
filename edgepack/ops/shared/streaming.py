"""When an output may run over an input that is still being read: the lead of a streaming kernel."""

from __future__ import annotations

from collections.abc import Sequence


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
