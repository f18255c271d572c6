"""Which tensors share memory and how long each piece of memory is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgepack.errors import ModelError
from edgepack.ir import Graph
from edgepack.ops.shared.kernel import Alias, KernelCall, Lowered, OverlapMode
from edgepack.types import DType


@dataclass(frozen=True)
class Buffer:
    """One piece of arena memory.

    Args:
        first, last: positions in the node list between which it is live, both included;
            -1 is before the first node, len(nodes) after the last.
        tensors: tensor id -> offset in bytes inside the buffer; empty for scratch memory.
        alignment: of its offset, in bytes.
    """

    index: int
    size: int
    first: int
    last: int
    tensors: tuple[tuple[int, int], ...]
    alignment: int
    scratch_of: int | None = None

    def overlaps_in_time(self, other: Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Sharing:
    """When buffer `writer` may overlap `reader`; see Overlap for lead and mode."""

    reader: int
    writer: int
    lead: int
    mode: OverlapMode

    def allows(self, read_at: int, write_at: int) -> bool:
        """Whether buffers at these offsets may overlap."""
        limit = read_at - self.lead
        if self.mode == "before":
            return write_at <= limit
        return write_at >= limit if self.mode == "after" else write_at == limit


@dataclass(frozen=True)
class BufferSet:
    """All buffers of a graph and which pairs may overlap while both are live."""

    buffers: tuple[Buffer, ...]
    sharing: tuple[Sharing, ...]
    location: Mapping[int, tuple[int, int]]  # tensor id -> (buffer index, offset inside)


TENSOR_ALIGNMENT = 4  # word loads of int8 data; 64-bit elements get 8
SCRATCH_ALIGNMENT = 8


def collect_buffers(graph: Graph, lowered: Sequence[Lowered]) -> BufferSet:
    """Group aliased tensors into buffers and find their lifetimes.

    Args:
        lowered: one entry per node of the graph.

    Raises:
        ModelError: placements that contradict each other.
    """
    location = _merge(graph, lowered)
    lives = lifetimes(graph)
    groups: dict[int, list[tuple[int, int]]] = {}
    for tensor, (root, offset) in location.items():
        groups.setdefault(root, []).append((tensor, offset))
    buffers: list[Buffer] = []
    where: dict[int, tuple[int, int]] = {}
    for _, members in sorted(groups.items()):
        lowest = min(offset for _, offset in members)
        placed = tuple(sorted((t, offset - lowest) for t, offset in members))
        sizes = [offset + graph.tensors[t].nbytes for t, offset in placed]
        wide = any(graph.tensors[t].dtype.itemsize == 8 for t, _ in placed)
        index = len(buffers)
        buffers.append(
            Buffer(
                index,
                max(sizes),
                min(lives[t][0] for t, _ in placed),
                max(lives[t][1] for t, _ in placed),
                placed,
                8 if wide else TENSOR_ALIGNMENT,
            )
        )
        where.update({t: (index, offset) for t, offset in placed})
    for position, call in enumerate(lowered):
        if isinstance(call, KernelCall) and call.scratch_bytes:
            index = len(buffers)
            buffers.append(
                Buffer(
                    index, call.scratch_bytes, position, position, (), SCRATCH_ALIGNMENT, position
                )
            )
    return BufferSet(tuple(buffers), _sharing(graph, lowered, buffers, where), where)


def in_arena(graph: Graph, tensor: int) -> bool:
    """Whether a tensor lies among the activations of its graph.

    Constants, state and resource handles do not, nor do the inputs of a subgraph and what
    replaces them, which lie where its caller has them.
    """
    value = graph.tensors[tensor]
    if value.is_const or value.is_variable or value.dtype is DType.RESOURCE:
        return False
    if graph.called and tensor in graph.inputs:
        return False
    return all(tensor != updated for updated, _ in graph.updates)


def _merge(graph: Graph, lowered: Sequence[Lowered]) -> dict[int, tuple[int, int]]:
    """Tensor id -> (representative tensor, offset from it) after applying every Alias."""
    location = {i: (i, 0) for i in graph.tensors if in_arena(graph, i)}
    members = {i: [i] for i in location}
    for node, call in zip(graph.nodes, lowered, strict=True):
        if not isinstance(call, Alias):
            continue
        for place in call.placements:
            if place.tensor not in location or place.within not in location:
                raise ModelError(f"op {node.index} {node.op}: it shares what is not in the arena")
            root, base = location[place.within]
            old_root, old_base = location[place.tensor]
            delta = base + place.offset - old_base
            if old_root == root:
                if delta:
                    raise ModelError(f"op {node.index} {node.op}: contradicting placements")
                continue
            for tensor in members.pop(old_root):
                location[tensor] = (root, location[tensor][1] + delta)
                members[root].append(tensor)
    return location


def lifetimes(graph: Graph) -> dict[int, tuple[int, int]]:
    """Tensor id -> first and last node position at which it must hold its value.

    Only of tensors that lie in the graph's arena.
    """
    end = len(graph.nodes)
    lives = {tensor: (-1, -1) for tensor in graph.inputs if in_arena(graph, tensor)}
    for position, node in enumerate(graph.nodes):
        for tensor in node.outputs:
            if in_arena(graph, tensor):
                lives[tensor] = (position, position)
        for tensor in node.inputs:
            if tensor in lives:
                lives[tensor] = (lives[tensor][0], position)
    for tensor in graph.outputs:
        if tensor in lives:
            lives[tensor] = (lives[tensor][0], end)
    return lives


def _sharing(
    graph: Graph,
    lowered: Sequence[Lowered],
    buffers: Sequence[Buffer],
    where: Mapping[int, tuple[int, int]],
) -> tuple[Sharing, ...]:
    """Overlap rules between whole buffers: the reader dies where the writer is born."""
    rules: list[Sharing] = []
    for position, (node, call) in enumerate(zip(graph.nodes, lowered, strict=True)):
        if not isinstance(call, KernelCall):
            continue
        for rule in call.overlaps:
            source, target = node.inputs[rule.input_slot], node.outputs[rule.output_slot]
            if source not in where or target not in where:
                continue
            (reader, read_at), (writer, write_at) = where[source], where[target]
            others = [t for slot, t in enumerate(node.inputs) if slot != rule.input_slot]
            if reader == writer or any(where.get(t, (None,))[0] == reader for t in others):
                continue
            if buffers[reader].last == position == buffers[writer].first:
                rules.append(Sharing(reader, writer, rule.lead + write_at - read_at, rule.mode))
    return tuple(rules)
