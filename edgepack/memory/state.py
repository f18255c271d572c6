"""The persistent part of the arena: what survives from one inference to the next.

It lies behind the activations of the entry graph, and all subgraphs share it: variable tensors,
resource variables, and what calls remember (CALL_ONCE).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgepack.errors import UnsupportedError
from edgepack.ir import Module
from edgepack.memory.buffers import TENSOR_ALIGNMENT
from edgepack.ops.shared.kernel import KernelCall, Lowered
from edgepack.ops.shared.resources import resolve_resources, tensor_fill

_ARENA_STEP = 16  # arenas are multiples of this


@dataclass(frozen=True)
class StateSlot:
    """`size` bytes at `offset` of the arena that init fills with the byte `fill`."""

    name: str
    offset: int
    size: int
    fill: int


@dataclass(frozen=True)
class StatePlan:
    """Offsets in the arena of the entry graph.

    Args:
        arena_bytes: of activations and state together.
        tensors: (subgraph, tensor id) -> offset, of variable tensors and of what handles name.
        calls: (subgraph, node position) -> offset of the call's own state.
    """

    arena_bytes: int
    slots: tuple[StateSlot, ...]
    tensors: Mapping[tuple[int, int], int]
    calls: Mapping[tuple[int, int], int]


@dataclass
class _Region:
    end: int
    slots: list[StateSlot] = field(default_factory=list)

    def add(self, name: str, size: int, fill: int, alignment: int) -> int:
        offset = -(-self.end // alignment) * alignment
        self.end = offset + size
        if size:
            self.slots.append(StateSlot(name, offset, size, fill))
        return offset


def plan_state(
    module: Module, lowered: Mapping[int, Sequence[Lowered]], activation_bytes: int
) -> StatePlan:
    """Place all state behind `activation_bytes` of activations.

    Args:
        lowered: subgraph -> one entry per node.

    Raises:
        UnsupportedError: a variable tensor with data of its own, or a subgraph's input.
    """
    region = _Region(activation_bytes)
    tensors: dict[tuple[int, int], int] = {}
    calls: dict[tuple[int, int], int] = {}
    for number, graph in enumerate(module.graphs):
        for t in graph.tensors.values():
            if not t.is_variable:
                continue
            if t.is_const or (number > 0 and t.id in graph.inputs):
                raise UnsupportedError(
                    f"variable {t.name!r} of subgraph {graph.name!r} "
                    + ("has data in the file" if t.is_const else "is an input of it"),
                    allowed="variables that start at their zero point",
                )
            alignment = max(TENSOR_ALIGNMENT, t.dtype.itemsize)
            tensors[number, t.id] = region.add(t.name, t.nbytes, tensor_fill(t), alignment)
    resources = resolve_resources(module)
    placed = [
        region.add(v.name, v.nbytes, v.fill, max(TENSOR_ALIGNMENT, v.dtype.itemsize))
        for v in resources.variables
    ]
    tensors.update({key: placed[index] for key, index in resources.handles.items()})
    for number, entries in lowered.items():
        for position, call in enumerate(entries):
            if isinstance(call, KernelCall) and call.persistent_bytes:
                name = f"state of op {position} of subgraph {number}"
                offset = region.add(name, call.persistent_bytes, 0, TENSOR_ALIGNMENT)
                calls[number, position] = offset
    total = -(-region.end // _ARENA_STEP) * _ARENA_STEP
    return StatePlan(total, tuple(region.slots), tensors, calls)
