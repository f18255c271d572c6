"""The decisions of a build in one printable value: kernels chosen, memory planned."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.ir import Graph, Module
from edgepack.memory.aliases import has_joins, resolve_aliases
from edgepack.memory.check import check_plan
from edgepack.memory.plan import MemoryPlan, plan_memory
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.kernel import Const, Isa, KernelCall, Lowered
from edgepack.ops.table import OPS
from edgepack.passes.flows import DEFAULT_FLOW, Pass, run_flow
from edgepack.types import DType


@dataclass(frozen=True)
class GraphProgram:
    """One graph with one lowered entry per node and its memory plan."""

    graph: Graph
    lowered: tuple[Lowered, ...]
    plan: MemoryPlan

    def views(self) -> tuple[NodeView, ...]:
        return tuple(NodeView.of(self.graph, node) for node in self.graph.nodes)


@dataclass(frozen=True)
class Program:
    """A module ready to be emitted; graphs[i] is subgraph i, `source` what was loaded."""

    source: Module
    module: Module
    isa: Isa
    graphs: tuple[GraphProgram, ...]

    @property
    def main(self) -> GraphProgram:
        return self.graphs[0]

    @property
    def arena_bytes(self) -> int:
        return self.main.plan.arena_bytes

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
    rewritten = run_flow(module, flow)
    graphs = tuple(_graph_program(g, isa) for g in rewritten.graphs)
    return Program(module, rewritten, isa, graphs)


def _graph_program(graph: Graph, isa: Isa) -> GraphProgram:
    wished = tuple(OPS[n.op].lower(NodeView.of(graph, n), isa) for n in graph.nodes)
    lowered = resolve_aliases(graph, wished)
    plan = plan_memory(graph, lowered)
    if has_joins(graph, lowered):
        copied = resolve_aliases(graph, wished, joins=False)
        other = plan_memory(graph, copied)
        if other.arena_bytes < plan.arena_bytes:
            lowered, plan = copied, other
    check_plan(graph, lowered, plan)
    return GraphProgram(graph, lowered, plan)


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
