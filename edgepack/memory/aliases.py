"""Which nodes may share memory instead of copying: the others get the kernel that copies.

Tensors that share memory form a group with fixed byte offsets between them. Sharing is sound when
wherever two of them overlap in bytes while both are live, they hold the same values. What a tensor
holds is written as a list of segments: bytes `start`..`start+size` of the tensor that computed
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgepack.errors import ModelError
from edgepack.ir import Graph, Node
from edgepack.memory.buffers import TENSOR_ALIGNMENT, lifetimes
from edgepack.ops.shared.kernel import Alias, Lowered


@dataclass(frozen=True)
class Segment:
    """Bytes `start`..`start+size` of what was first written as tensor `origin`."""

    origin: int
    start: int
    size: int


Segments = tuple[Segment, ...]
Group = dict[int, int]  # tensor id -> byte offset


def resolve_aliases(
    graph: Graph, lowered: Sequence[Lowered], *, joins: bool = True
) -> tuple[Lowered, ...]:
    """Replace every Alias that the graph does not allow by its fallback.

    Args:
        lowered: one entry per node.
        joins: keep an Alias that puts smaller tensors inside larger ones (concatenation, slices);
            they make buffers live longer, which now and then costs more than the copy.

    Raises:
        ModelError: an Alias without a fallback is not allowed.
    """
    sharing = _Sharing(graph)
    resolved: list[Lowered] = []
    for node, call in zip(graph.nodes, lowered, strict=True):
        if isinstance(call, Alias):
            wanted = joins or call.fallback is None or not _is_join(graph, call)
            call = _choose(sharing, node, call, wanted)
        resolved.append(call)
    return tuple(resolved)


def has_joins(graph: Graph, lowered: Sequence[Lowered]) -> bool:
    """Whether `joins` makes a difference."""
    return any(isinstance(call, Alias) and _is_join(graph, call) for call in lowered)


def _is_join(graph: Graph, call: Alias) -> bool:
    return call.fallback is not None and any(
        graph.tensors[p.tensor].nbytes != graph.tensors[p.within].nbytes for p in call.placements
    )


def _choose(sharing: _Sharing, node: Node, call: Alias, wanted: bool) -> Lowered:
    problem = sharing.accept(node, call) if wanted else "the arena is smaller with a copy"
    if problem is None:
        return call
    if call.fallback is None:
        raise ModelError(f"op {node.index} {node.op}: its tensors cannot share memory: {problem}")
    reason = "; ".join(filter(None, (call.fallback.reason, f"not shared: {problem}")))
    return replace(call.fallback, reason=reason)


class _Sharing:
    """The groups and contents so far, while nodes are visited in order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lives = lifetimes(graph)
        # tensor id -> its group, one object for all members
        self.groups: dict[int, Group] = {tensor: {tensor: 0} for tensor in self.lives}
        self.segments: dict[int, Segments] = {
            tensor: (Segment(tensor, 0, graph.tensors[tensor].nbytes),) for tensor in self.lives
        }

    def accept(self, node: Node, call: Alias) -> str | None:
        """Share memory as `call` asks; why not, if that is impossible (nothing changes then)."""
        if not call.placements:
            return None
        for place in call.placements:
            for tensor in (place.tensor, place.within):
                if tensor not in self.groups:
                    name = self.graph.tensors[tensor].name
                    return f"{name!r} is a constant, state, or lies with the caller"
        groups = dict(self.groups)
        for place in call.placements:
            problem = _join(groups, place.tensor, place.within, place.offset)
            if problem is not None:
                return problem
        contents = self._contents(node, call)
        merged = groups[call.placements[0].tensor]
        problem = self._conflict(merged, {**self.segments, **contents})
        if problem is None:
            self.groups = groups
            self.segments.update(contents)
        return problem

    def _contents(self, node: Node, call: Alias) -> dict[int, Segments]:
        """What the outputs hold: parts of an input, or inputs one after another."""
        outputs = set(node.outputs)
        found: dict[int, Segments] = {}
        parts: dict[int, list[tuple[int, int]]] = {}
        for place in call.placements:
            if place.tensor in outputs:
                size = self.graph.tensors[place.tensor].nbytes
                found[place.tensor] = cut(self.segments[place.within], place.offset, size)
            else:
                parts.setdefault(place.within, []).append((place.offset, place.tensor))
        for output, members in parts.items():
            found[output] = tuple(s for _, t in sorted(members) for s in self.segments[t])
        return found

    def _conflict(self, group: Group, segments: Mapping[int, Segments]) -> str | None:
        tensors = self.graph.tensors
        lowest = min(group.values())
        for tensor, offset in group.items():
            if (offset - lowest) % max(TENSOR_ALIGNMENT, tensors[tensor].dtype.itemsize):
                return f"{tensors[tensor].name!r} would not be aligned"
        members = sorted(group.items(), key=lambda item: (item[1], item[0]))
        for i, (a, at_a) in enumerate(members):
            for b, at_b in members[i + 1 :]:
                end = min(at_a + tensors[a].nbytes, at_b + tensors[b].nbytes)
                if end <= at_b or not _both_live(self.lives[a], self.lives[b]):
                    continue
                size = end - at_b
                if cut(segments[a], at_b - at_a, size) != cut(segments[b], 0, size):
                    return f"{tensors[a].name!r} and {tensors[b].name!r} are needed together"
        return None


def _both_live(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _join(groups: dict[int, Group], tensor: int, within: int, offset: int) -> str | None:
    """Merge the groups of two tensors, in place in `groups`."""
    mine, other = groups[tensor], groups[within]
    delta = other[within] + offset - mine[tensor]
    if mine is other:
        return None if delta == 0 else "one of its tensors already lies elsewhere"
    merged = {**other, **{member: at + delta for member, at in mine.items()}}
    groups.update(dict.fromkeys(merged, merged))
    return None


def cut(segments: Segments, start: int, size: int) -> Segments:
    """Bytes start..start+size of a content, with neighbouring pieces of one origin joined."""
    found: list[Segment] = []
    at = 0
    for piece in segments:
        low, high = max(start, at), min(start + size, at + piece.size)
        if low < high:
            part = Segment(piece.origin, piece.start + low - at, high - low)
            last = found[-1] if found else None
            if last and (last.origin, last.start + last.size) == (part.origin, part.start):
                found[-1] = replace(last, size=last.size + part.size)
            else:
                found.append(part)
        at += piece.size
    return tuple(found)
