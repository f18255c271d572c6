"""An independent check of a memory plan: what the planner must never get wrong."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.errors import EdgepackError
from edgepack.ir import Graph
from edgepack.memory.buffers import collect_buffers
from edgepack.memory.plan import MemoryPlan
from edgepack.ops.shared.kernel import Lowered


class PlanError(EdgepackError):
    """The memory plan is wrong: a defect of edgepack, never of the model."""


def check_plan(graph: Graph, lowered: Sequence[Lowered], plan: MemoryPlan) -> None:
    """Check alignment, bounds, and that live buffers only overlap where a kernel allows it.

    Raises:
        PlanError: naming the two buffers or the buffer concerned.
    """
    found = collect_buffers(graph, lowered)
    allowed = {(s.reader, s.writer): s for s in found.sharing}
    for buffer, offset in zip(plan.buffers, plan.offsets, strict=True):
        if offset % buffer.alignment or offset < 0 or offset + buffer.size > plan.arena_bytes:
            raise PlanError(f"buffer {buffer} at {offset} of {plan.arena_bytes} bytes")
    for a, at_a in zip(plan.buffers, plan.offsets, strict=True):
        for b, at_b in zip(plan.buffers, plan.offsets, strict=True):
            if a.index >= b.index or not a.overlaps_in_time(b):
                continue
            if at_a + a.size <= at_b or at_b + b.size <= at_a:
                continue
            reads_a, reads_b = allowed.get((a.index, b.index)), allowed.get((b.index, a.index))
            if reads_a is not None and reads_a.allows(at_a, at_b):
                continue
            if reads_b is not None and reads_b.allows(at_b, at_a):
                continue
            raise PlanError(f"live buffers overlap: {a} at {at_a} and {b} at {at_b}")
