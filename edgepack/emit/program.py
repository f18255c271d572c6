"""The decisions of a build in one printable value: kernels chosen, memory planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgepack.emit.coding import code_weights
from edgepack.emit.sharing import share_code
from edgepack.ir import Graph, Module
from edgepack.memory.aliases import has_joins, resolve_aliases
from edgepack.memory.check import check_plan
from edgepack.memory.plan import MemoryPlan, plan_memory
from edgepack.memory.state import StatePlan, plan_state
from edgepack.memory.updates import update_in_place
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.bits_calls import lower_bits
from edgepack.ops.shared.control import ControlOp, call_order, callees
from edgepack.ops.shared.kernel import Const, Isa, KernelCall, Lowered
from edgepack.ops.table import OPS
from edgepack.passes.flows import DEFAULT_FLOW, Pass, run_flow
from edgepack.passes.pack_bits import pack_bits
from edgepack.types import DType


@dataclass(frozen=True)
class GraphProgram:
    """One graph with one lowered entry per node and its memory plan; `number` in the module."""

    number: int
    graph: Graph
    lowered: tuple[Lowered, ...]
    plan: MemoryPlan

    def views(self) -> tuple[NodeView, ...]:
        return tuple(NodeView.of(self.graph, node) for node in self.graph.nodes)


@dataclass(frozen=True)
class Program:
    """A module ready to be emitted; graphs[i] is subgraph i, `source` what was loaded.

    `order` lists the subgraphs so that each comes after those that it runs.
    """

    source: Module
    module: Module
    isa: Isa
    graphs: tuple[GraphProgram, ...]
    order: tuple[int, ...]
    state: StatePlan

    @property
    def main(self) -> GraphProgram:
        return self.graphs[0]

    @property
    def arena_bytes(self) -> int:
        return self.state.arena_bytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the model as loaded, before any rewrite removed some."""
        return sum(
            OPS[node.op].macs(NodeView.of(graph, node))
            for graph in self.source.graphs
            for node in graph.nodes
        )


def build_program(module: Module, isa: Isa, flow: tuple[Pass, ...] = DEFAULT_FLOW) -> Program:
    """Verify, rewrite, choose kernels and plan memory.

    Raises:
        UnsupportedError: an op or type without a kernel.
        ModelError: an inconsistent model.
    """
    rewritten = update_in_place(run_flow(module, flow))
    order = call_order(rewritten)
    planned: dict[int, GraphProgram] = {}
    for number in order:
        planned[number] = _graph_program(rewritten.graphs[number], number, isa, planned)
    lowered = {number: program.lowered for number, program in sorted(planned.items())}
    state = plan_state(rewritten, lowered, planned[0].plan.arena_bytes)
    graphs = tuple(planned[number] for number in range(len(rewritten.graphs)))
    return Program(module, rewritten, isa, graphs, order, state)


def _graph_program(
    graph: Graph, number: int, isa: Isa, planned: Mapping[int, GraphProgram]
) -> GraphProgram:
    packed = pack_bits(graph, isa.optimize)
    graph = packed.graph
    nodes = tuple(NodeView.of(graph, node) for node in graph.nodes)
    wished = tuple(
        lower_bits(view, packed.nodes[position], isa.optimize)
        if position in packed.nodes
        else _lower(view, isa, planned)
        for position, view in enumerate(nodes)
    )
    wished = code_weights(nodes, wished, isa.optimize)
    lowered = resolve_aliases(graph, wished)
    plan = plan_memory(graph, lowered)
    if has_joins(graph, lowered):
        copied = resolve_aliases(graph, wished, joins=False)
        other = plan_memory(graph, copied)
        if other.arena_bytes < plan.arena_bytes:
            lowered, plan = copied, other
    check_plan(graph, lowered, plan)
    views = tuple(NodeView.of(graph, node) for node in graph.nodes)
    return GraphProgram(number, graph, share_code(views, lowered, isa.optimize), plan)


def _lower(view: NodeView, isa: Isa, planned: Mapping[int, GraphProgram]) -> Lowered:
    op = OPS[view.node.op]
    if isinstance(op, ControlOp):
        return op.lower_calls(view, max(planned[i].plan.arena_bytes for i in callees(view.node)))
    return op.lower(view, isa)


def parameters(module: Module) -> int:
    """Elements of the constant tensors that are data of the model (not shapes and axes)."""
    seen = {
        id(tensor.data): tensor.elements
        for graph in module.graphs
        for tensor in graph.tensors.values()
        if tensor.is_const and (tensor.quant is not None or tensor.dtype is DType.FLOAT32)
    }
    return sum(seen.values())


def const_bytes(call: Lowered, role: str) -> int:
    """Bytes of the build-time constants of one call with this role."""
    if not isinstance(call, KernelCall):
        return 0
    return sum(a.data.nbytes for a in call.args if isinstance(a, Const) and a.role == role)
