"""The op-level half of the IR's specification: every node is known, supported and consistent."""

from __future__ import annotations

from collections.abc import Iterator

from edgepack.errors import ModelError, UnsupportedError
from edgepack.ir import Graph, Module
from edgepack.ops.advice import advice, full_name
from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.control import ControlOp, call_order, callees
from edgepack.ops.shared.resources import resolve_resources
from edgepack.ops.table import OPS


def verify_ops(module: Module) -> None:
    """Check every node against its op: known, supported, and shaped as the op infers.

    Raises:
        UnsupportedError: all ops and types without a kernel, one per line.
        ModelError: a recorded shape that the op contradicts.
    """
    problems = list(unsupported_nodes(module))
    if problems:
        remedies = dict.fromkeys(p.next_step for p in problems if p.next_step is not None)
        raise UnsupportedError(
            "\n".join(p.message for p in problems), next_step="\n      ".join(remedies)
        )
    for graph in module.graphs:
        for node in graph.nodes:
            _verify_shapes(NodeView.of(graph, node))
    _verify_calls(module)
    resolve_resources(module)


def _verify_calls(module: Module) -> None:
    """Check every node that runs subgraphs against them, and that none calls itself."""
    for number in call_order(module):
        graph = module.graphs[number]
        for node in graph.nodes:
            op = OPS[node.op]
            if isinstance(op, ControlOp):
                op.check_call(NodeView.of(graph, node), [module.graphs[i] for i in callees(node)])


def unsupported_nodes(module: Module) -> Iterator[UnsupportedError]:
    """One error per node that the C runtime cannot run."""
    for graph in module.graphs:
        for node in graph.nodes:
            yield from _problem(graph, NodeView.of(graph, node))


def _problem(graph: Graph, view: NodeView) -> Iterator[UnsupportedError]:
    op = OPS.get(view.node.op)
    try:
        if op is None:
            name = full_name(view.node)
            what = f"custom op {name!r}" if name != view.node.op else "this op"
            raise unsupported(view, f"the C runtime has no kernel for {what}", rewrite=advice(name))
        op.check(view)
    except UnsupportedError as error:
        yield error


def _verify_shapes(view: NodeView) -> None:
    inferred = OPS[view.node.op].infer_shape(view)
    recorded = tuple(t.shape for t in view.outputs)
    if inferred != recorded:
        raise ModelError(
            f"{view.describe()}: the recorded output shapes contradict the op, "
            f"which gives {[list(s) for s in inferred]}",
            next_step="edgepack convert the original model again",
        )
