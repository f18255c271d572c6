"""Loop variables that a body updates in the caller's memory instead of handing back a copy.

A list that grows by one row per iteration would otherwise be copied twice per iteration.
"""

from __future__ import annotations

from dataclasses import replace

from edgepack.ir import Graph, Module
from edgepack.ops.shared.control import callees


def update_in_place(module: Module) -> Module:
    """Mark the updates (Graph.updates) in every graph that runs as a body of loops and only so."""
    roles: dict[int, set[bool]] = {}
    for graph in module.graphs:
        for node in graph.nodes:
            for slot, callee in enumerate(callees(node)):
                roles.setdefault(callee, set()).add((node.op, slot) == ("WHILE", 1))
    return replace(
        module,
        graphs=tuple(
            replace(graph, updates=_updates(graph)) if roles.get(number) == {True} else graph
            for number, graph in enumerate(module.graphs)
        ),
    )


def _updates(graph: Graph) -> tuple[tuple[int, int], ...]:
    """(output, position): DYNAMIC_UPDATE_SLICE of the input at that position, its last reader."""
    found: list[tuple[int, int]] = []
    readers = graph.consumers()
    for position, node in enumerate(graph.nodes):
        if node.op != "DYNAMIC_UPDATE_SLICE" or node.inputs[0] not in graph.inputs:
            continue
        source, target = node.inputs[0], node.outputs[0]
        slot = graph.inputs.index(source)
        last = max(readers[source]) == position and source not in node.inputs[1:]
        places = [i for i, output in enumerate(graph.outputs) if output == target]
        once = graph.inputs.count(source) == 1 and source not in graph.outputs
        if last and once and places == [slot]:
            found.append((target, slot))
    return tuple(found)
