"""Graphs (one subgraph each) and the module that holds them. Passes build new ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from edgepack.ir.node import ABSENT, Node
from edgepack.ir.tensor import Tensor


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order over tensors; inputs and outputs are tensor ids.

    `called`: other graphs run it; its inputs lie in their memory and may only be read, except for
    `updates`: (tensor, position of an input) where a tensor replaces the input it is made from.
    """

    name: str
    tensors: Mapping[int, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    called: bool = False
    updates: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    def node_inputs(self, node: Node) -> tuple[Tensor | None, ...]:
        """The input tensors of a node, None where an optional input is absent."""
        return tuple(None if i == ABSENT else self.tensors[i] for i in node.inputs)

    def node_outputs(self, node: Node) -> tuple[Tensor, ...]:
        return tuple(self.tensors[i] for i in node.outputs)

    def producers(self) -> dict[int, int]:
        """Tensor id -> position in `nodes` of the node that writes it."""
        return {t: pos for pos, node in enumerate(self.nodes) for t in node.outputs}

    def consumers(self) -> dict[int, list[int]]:
        """Tensor id -> positions in `nodes` of the nodes that read it."""
        found: dict[int, list[int]] = {}
        for pos, node in enumerate(self.nodes):
            for t in dict.fromkeys(node.inputs):
                if t != ABSENT:
                    found.setdefault(t, []).append(pos)
        return found

    def next_id(self) -> int:
        """A tensor id that is not yet used."""
        return max(self.tensors, default=-1) + 1

    def evolve(
        self,
        *,
        nodes: Iterable[Node] | None = None,
        tensors: Mapping[int, Tensor] | None = None,
        inputs: tuple[int, ...] | None = None,
        outputs: tuple[int, ...] | None = None,
    ) -> Graph:
        """A copy with some parts replaced and the tensors that nothing mentions dropped."""
        new_nodes = self.nodes if nodes is None else tuple(nodes)
        new_inputs = self.inputs if inputs is None else inputs
        new_outputs = self.outputs if outputs is None else outputs
        used = {*new_inputs, *new_outputs}
        for node in new_nodes:
            used.update(node.inputs, node.outputs)
        source = self.tensors if tensors is None else tensors
        kept = {i: t for i, t in source.items() if i in used}
        return replace(self, tensors=kept, nodes=new_nodes, inputs=new_inputs, outputs=new_outputs)


@dataclass(frozen=True)
class Module:
    """A model: graph 0 is the entry, others are subgraphs that IF, WHILE and CALL_ONCE name."""

    name: str
    graphs: tuple[Graph, ...]

    @property
    def main(self) -> Graph:
        return self.graphs[0]

    def with_main(self, graph: Graph) -> Module:
        return replace(self, graphs=(graph, *self.graphs[1:]))
