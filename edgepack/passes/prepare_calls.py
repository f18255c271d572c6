"""Makes the subgraphs of a module ready to be planned; part of every flow.

Subgraphs that nothing runs (other signatures of the model) are dropped. Where a loop's body hands
an input on as another of its outputs, a copy is put in between: the loop's variables are written
one after another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgepack.ir import Graph, Module, Node, Tensor
from edgepack.ops.reshape import ReshapeAttributes
from edgepack.ops.shared.control import CallsSubgraphs, call_order, callees
from edgepack.types import DType


def prepare_calls(module: Module) -> Module:
    """Drop what is not reached and separate loop variables that change places.

    Raises:
        UnsupportedError: subgraphs that do not exist or call themselves.
    """
    if len(module.graphs) == 1 and not any(callees(n) for n in module.main.nodes):
        return module
    kept = sorted(call_order(module))
    numbers = {old: new for new, old in enumerate(kept)}
    bodies = {
        callees(node)[1] for old in kept for node in module.graphs[old].nodes if node.op == "WHILE"
    }
    graphs = (
        _separate(module.graphs[old]) if old in bodies else module.graphs[old] for old in kept
    )
    return replace(module, graphs=tuple(_renumber(graph, numbers) for graph in graphs))


def _renumber(graph: Graph, numbers: Mapping[int, int]) -> Graph:
    if not any(callees(node) for node in graph.nodes):
        return graph
    return graph.evolve(nodes=(_renamed(node, numbers) for node in graph.nodes))


def _renamed(node: Node, numbers: Mapping[int, int]) -> Node:
    if not callees(node):
        return node
    return replace(node, attrs=CallsSubgraphs(tuple(numbers[i] for i in callees(node))))


def _separate(graph: Graph) -> Graph:
    """Copy the inputs that are outputs at another position."""
    nodes, tensors, outputs = list(graph.nodes), dict(graph.tensors), list(graph.outputs)
    for position, tensor in enumerate(graph.outputs):
        source = tensors[tensor]
        moves = tensor in graph.inputs and graph.inputs.index(tensor) != position
        if not moves or source.dtype is DType.RESOURCE:
            continue
        copy = _copy_of(source, max(tensors) + 1)
        tensors[copy.id] = copy
        attrs = ReshapeAttributes(source.shape)
        nodes.append(Node("RESHAPE", (tensor,), (copy.id,), attrs, len(nodes)))
        outputs[position] = copy.id
    if tuple(outputs) == graph.outputs:
        return graph
    return graph.evolve(nodes=nodes, tensors=tensors, outputs=tuple(outputs))


def _copy_of(tensor: Tensor, number: int) -> Tensor:
    return replace(tensor, id=number, name=f"{tensor.name}_copy", is_variable=False)
