"""Arena offsets: the smallest arena that a bounded, deterministic search finds.

Buffers are placed one after another at the lowest offset that keeps them apart from those already
placed and live at the same time, except where a kernel allows its output to run over its input
(ops/shared/kernel.Overlap). Several placement orders are tried, then orders near the best one; the
search stops early when the arena equals the lower bound.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.ir import Graph
from edgepack.memory.buffers import Buffer, BufferSet, collect_buffers
from edgepack.ops.shared.kernel import Lowered

_SWAPS = 300  # neighbouring orders tried after the fixed heuristics
_SEED = 1  # the search is part of the output, so it must be repeatable


@dataclass(frozen=True)
class MemoryPlan:
    """Where every buffer lies.

    Args:
        arena_bytes: what the generated code needs, a multiple of 16.
        lower_bound: bytes live at the worst node if nothing fragmented (overlaps not counted).
        tensors: tensor id -> byte offset in the arena.
        scratch: node position -> byte offset of its scratch memory.
    """

    arena_bytes: int
    lower_bound: int
    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]
    tensors: dict[int, int]
    scratch: dict[int, int]


def plan_memory(graph: Graph, lowered: Sequence[Lowered]) -> MemoryPlan:
    """Choose the arena offset of every activation and scratch buffer (state: state.py)."""
    found = collect_buffers(graph, lowered)
    placer = _Placer(found)
    offsets = placer.search()
    arena = placer.extent(offsets)
    tensors = {t: offsets[index] + inside for t, (index, inside) in found.location.items()}
    scratch = {b.scratch_of: offsets[b.index] for b in found.buffers if b.scratch_of is not None}
    return MemoryPlan(
        max(-(-arena // 16) * 16, 16),  # also where all tensors are empty
        lower_bound(found.buffers),
        found.buffers,
        tuple(offsets),
        tensors,
        scratch,
    )


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """The most bytes live at one node, counting every buffer in full."""
    moments = {b.first for b in buffers}
    return max(
        (sum(b.size for b in buffers if b.first <= moment <= b.last) for moment in moments),
        default=0,
    )


class _Placer:
    def __init__(self, found: BufferSet) -> None:
        self.buffers = found.buffers
        self.sharing = {(s.reader, s.writer): s for s in found.sharing}
        self.neighbours = {
            b.index: [o.index for o in self.buffers if o is not b and b.overlaps_in_time(o)]
            for b in self.buffers
        }

    def extent(self, offsets: Sequence[int]) -> int:
        return max((offsets[b.index] + b.size for b in self.buffers), default=0)

    def search(self) -> list[int]:
        orders = [
            sorted(self.buffers, key=key)
            for key in (
                lambda b: (-b.size, b.first, b.index),
                lambda b: (-b.size * (b.last - b.first + 1), b.index),
                lambda b: (-(b.last - b.first), -b.size, b.index),
                lambda b: (b.first, -b.size, b.index),
                lambda b: (-b.last, -b.size, b.index),
            )
        ]
        best_order = min(
            ([b.index for b in order] for order in orders),
            key=lambda order: self.extent(self.place(order)),
        )
        best = self.place(best_order)
        floor = max((b.size for b in self.buffers), default=0)
        pick = random.Random(_SEED)
        for _ in range(_SWAPS if len(best_order) > 2 else 0):
            if self.extent(best) <= floor:
                break
            order = list(best_order)
            i, j = pick.randrange(len(order)), pick.randrange(len(order))
            order.insert(j, order.pop(i))
            candidate = self.place(order)
            if self.extent(candidate) <= self.extent(best):
                best, best_order = candidate, order
        return best

    def place(self, order: Sequence[int]) -> list[int]:
        """Offsets when buffers are placed in this order, each as low as it may lie."""
        offsets = [-1] * len(self.buffers)
        for index in order:
            offsets[index] = self._lowest(index, offsets)
        return offsets

    def _lowest(self, index: int, offsets: list[int]) -> int:
        buffer = self.buffers[index]
        forbidden = sorted(
            interval
            for other in self.neighbours[index]
            if offsets[other] >= 0
            for interval in self._forbidden(buffer, self.buffers[other], offsets[other])
        )
        offset = 0
        for low, high in forbidden:  # the offsets low < x < high are taken
            if low < offset < high:
                offset = -(-high // buffer.alignment) * buffer.alignment
        return offset

    def _forbidden(self, buffer: Buffer, other: Buffer, at: int) -> list[tuple[int, int]]:
        """Open intervals of offsets that `buffer` may not take because of `other` at `at`."""
        low, high = at - buffer.size, at + other.size
        writes = self.sharing.get((other.index, buffer.index))  # buffer written, other read
        reads = self.sharing.get((buffer.index, other.index))  # buffer read, other written
        if writes is not None:
            limit = at - writes.lead
            if writes.mode == "exact":
                return _around(low, high, limit)
            return [(max(low, limit), high) if writes.mode == "before" else (low, min(high, limit))]
        if reads is not None:
            limit = at + reads.lead
            if reads.mode == "exact":
                return _around(low, high, limit)
            return [(low, min(high, limit)) if reads.mode == "before" else (max(low, limit), high)]
        return [(low, high)]


def _around(low: int, high: int, hole: int) -> list[tuple[int, int]]:
    """The open interval (low, high) without the point `hole`."""
    return [(low, hole), (hole, high)] if low < hole < high else [(low, high)]
