"""What the ops that run other subgraphs share: who calls whom, and which calls are sound."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgepack.ir import Attributes, Graph, Module, Node
from edgepack.ops.shared.base import NodeView, Op, unsupported
from edgepack.ops.shared.kernel import Const, Isa, Lowered
from edgepack.types import Array, DType, Shape

# Runs subgraph `index` on its inputs (None for a resource handle) and returns its outputs.
RunSubgraph = Callable[[int, Sequence[Array | None]], tuple[Array | None, ...]]


@dataclass(frozen=True)
class CallsSubgraphs(Attributes):
    """The subgraphs that a node runs, in the order that its op defines."""

    subgraphs: tuple[int, ...]


class ControlOp(Op):
    """An op that runs other subgraphs; it is lowered after they have been planned.

    `first_input` is the node's first input that a subgraph gets as its input 0. A node is `once`
    if it does something at its first execution only.
    """

    types = tuple(DType)
    first_input: ClassVar[int] = 0
    once: ClassVar[bool] = False

    def check(self, view: NodeView) -> None:
        low, high = self.arity
        if not low <= len(view.inputs) <= high:
            raise unsupported(view, f"{len(view.inputs)} inputs, allowed {low} to {high}")
        for slot in range(len(view.inputs)):
            view.input(slot)

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return tuple(t.shape for t in view.outputs)  # check_calls compares with the subgraphs

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        raise TypeError(f"{self.name} needs the other subgraphs: ops/evaluate.py runs it")

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        raise TypeError(f"{self.name} is lowered by lower_calls, once its subgraphs are planned")

    @abstractmethod
    def run(
        self, view: NodeView, inputs: Sequence[Array | None], call: RunSubgraph
    ) -> tuple[Array | None, ...]:
        """The outputs computed in numpy."""

    @abstractmethod
    def lower_calls(self, view: NodeView, arena_bytes: int) -> Lowered:
        """The kernel call.

        Args:
            arena_bytes: what the largest of the node's subgraphs needs.
        """

    @abstractmethod
    def check_call(self, view: NodeView, callees: Sequence[Graph]) -> None:
        """Check the node against its subgraphs.

        Raises:
            UnsupportedError: their inputs or outputs do not fit those of the node.
        """


def callees(node: Node) -> tuple[int, ...]:
    """The subgraphs that a node runs."""
    return node.attrs.subgraphs if isinstance(node.attrs, CallsSubgraphs) else ()


def call_order(module: Module) -> tuple[int, ...]:
    """The subgraphs that graph 0 reaches, every one after those that it calls; 0 is the last.

    Raises:
        UnsupportedError: a subgraph that does not exist, or that would call itself.
    """
    order: list[int] = []
    _visit(module, 0, (), order)
    return tuple(order)


def _visit(module: Module, number: int, path: tuple[int, ...], order: list[int]) -> None:
    if number in order:
        return
    graph = module.graphs[number]
    path = (*path, number)
    for node in graph.nodes:
        for callee in callees(node):
            view = NodeView.of(graph, node)
            if not 0 <= callee < len(module.graphs):
                raise unsupported(
                    view, f"it runs subgraph {callee}, the model has {len(module.graphs)}"
                )
            if callee in path:
                names = " -> ".join(repr(module.graphs[i].name) for i in (*path, callee))
                raise unsupported(view, f"subgraphs that call themselves cannot run: {names}")
            _visit(module, callee, path, order)
    order.append(number)


def check_sizes(view: NodeView, given: Sequence[int], graph: Graph, *, outputs: bool) -> None:
    """Compare tensors of the node (`given`, bytes each) with a subgraph's inputs or outputs.

    Raises:
        UnsupportedError: another number of tensors, or a tensor of another size.
    """
    what = "output" if outputs else "input"
    ids = graph.outputs if outputs else graph.inputs
    if len(ids) != len(given):
        raise unsupported(
            view, f"{len(given)} tensors for the {len(ids)} {what}s of subgraph {graph.name!r}"
        )
    for number, (size, i) in enumerate(zip(given, ids, strict=True)):
        tensor = graph.tensors[i]
        if size != tensor.nbytes:
            raise unsupported(
                view,
                f"{what} {number} of subgraph {graph.name!r} is {tensor.describe()}, "
                f"{tensor.nbytes} bytes, for a tensor of {size}",
            )


def input_sizes(view: NodeView, first: int) -> list[int]:
    """Bytes of the inputs from slot `first` on."""
    return [view.input(slot).nbytes for slot in range(first, len(view.inputs))]


def output_sizes(view: NodeView) -> list[int]:
    """Bytes of the outputs."""
    return [t.nbytes for t in view.outputs]


def byte_table(view: NodeView) -> Const:
    """Bytes of every output, as uint32: what has to be copied out of a subgraph."""
    sizes = [0 if t.dtype is DType.RESOURCE else t.nbytes for t in view.outputs]
    return Const("bytes", np.array(sizes, np.uint32), role="tables")
