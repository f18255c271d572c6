"""Nodes whose outputs nobody reads are left out."""

from __future__ import annotations

from dataclasses import replace

from edgepack.ir import ABSENT, Graph, Module, Node

# What they do is not only their output: state, or subgraphs that may change state.
_SIDE_EFFECTS = frozenset(("ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE"))


def remove_dead(module: Module) -> Module:
    """Remove dead nodes from every graph; inputs and state variables stay as they are."""
    return replace(module, graphs=tuple(_sweep(graph) for graph in module.graphs))


def _sweep(graph: Graph) -> Graph:
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs) or _has_side_effects(graph, node):
            kept.insert(0, node)
            needed.update(node.inputs)
    return graph if len(kept) == len(graph.nodes) else graph.evolve(nodes=kept)


def _has_side_effects(graph: Graph, node: Node) -> bool:
    """Whether the node matters beyond its outputs; ops with state write a variable input."""
    writes_state = any(i != ABSENT and graph.tensors[i].is_variable for i in node.inputs)
    return node.op in _SIDE_EFFECTS or writes_state or not node.outputs
