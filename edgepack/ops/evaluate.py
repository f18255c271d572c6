"""Run a module in numpy, op by op: the executable meaning of the IR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgepack.errors import DataError
from edgepack.ir import ABSENT, Graph, Module, Node
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.control import ControlOp
from edgepack.ops.shared.resources import Resources, resolve_resources, tensor_fill
from edgepack.ops.table import OPS
from edgepack.types import Array, DType, Shape

Values = dict[int, Array]


@dataclass
class ModelState:
    """What a module keeps between inferences; ops write into these arrays.

    Args:
        tensors: (subgraph, tensor id) -> value of a variable tensor.
        variables: values of the resource variables.
        done: (subgraph, node position) of every CALL_ONCE that has run.
    """

    tensors: dict[tuple[int, int], Array]
    resources: Resources
    variables: list[Array]
    done: set[tuple[int, int]] = field(default_factory=set)


def initial_state(module: Module) -> ModelState:
    """The state after init.

    Raises:
        UnsupportedError: resource variables that cannot be resolved.
    """
    resources = resolve_resources(module)
    tensors = {
        (number, t.id): _filled(t.shape, t.dtype, tensor_fill(t))
        for number, graph in enumerate(module.graphs)
        for t in graph.tensors.values()
        if t.is_variable
    }
    variables = [_filled(v.shape, v.dtype, v.fill) for v in resources.variables]
    return ModelState(tensors, resources, variables)


def _filled(shape: Shape, dtype: DType, byte: int) -> Array:
    size = int(np.prod(shape)) * dtype.itemsize
    return np.full(size, byte, np.uint8).view(dtype.numpy).reshape(shape)


def evaluate(
    module: Module, inputs: Sequence[Array], state: ModelState | None = None
) -> dict[int, Array]:
    """All tensors of the entry graph for one inference.

    Args:
        inputs: one array per graph input, in its shape and dtype.
        state: what earlier inferences left behind, updated; the state after init by default.

    Returns:
        Tensor id -> value, constants left out.

    Raises:
        DataError: an input of the wrong count, shape or dtype.
    """
    graph = module.main
    if len(inputs) != len(graph.inputs):
        raise DataError(f"{len(inputs)} inputs given, the model has {len(graph.inputs)}")
    for tensor, array in zip((graph.tensors[i] for i in graph.inputs), inputs, strict=True):
        if array.shape != tensor.shape or array.dtype != tensor.dtype.numpy:
            raise DataError(
                f"input {tensor.name!r} is {array.dtype}{list(array.shape)}",
                allowed=tensor.describe(),
            )
    return _Run(module, state or initial_state(module)).graph(0, inputs)


class _Run:
    """One inference."""

    def __init__(self, module: Module, state: ModelState) -> None:
        self.module, self.state = module, state

    def graph(self, number: int, inputs: Sequence[Array | None]) -> Values:
        """All values of a subgraph after it ran; variable tensors as they are then."""
        graph = self.module.graphs[number]
        values: Values = {i: a for (g, i), a in self.state.tensors.items() if g == number}
        for tensor, array in zip(graph.inputs, inputs, strict=True):
            if array is not None:
                values[tensor] = array.reshape(graph.tensors[tensor].shape)
        for position, node in enumerate(graph.nodes):
            given = [self._value(number, graph, values, i) for i in node.inputs]
            results = self._node(number, position, NodeView.of(graph, node), given)
            _store(graph, node, values, results)
        return values

    def _node(
        self, number: int, position: int, view: NodeView, given: Sequence[Array | None]
    ) -> tuple[Array | None, ...]:
        op = OPS[view.node.op]
        if not isinstance(op, ControlOp):
            return op.reference(view, given)
        if op.once and (number, position) in self.state.done:
            return ()
        results = op.run(view, given, self.call)
        if op.once:
            self.state.done.add((number, position))
        return results

    def call(self, number: int, inputs: Sequence[Array | None]) -> tuple[Array | None, ...]:
        """The outputs of a subgraph, copied so that later changes of state do not show."""
        graph = self.module.graphs[number]
        values = self.graph(number, inputs)
        found = (self._value(number, graph, values, i) for i in graph.outputs)
        return tuple(None if value is None else value.copy() for value in found)

    def _value(
        self, number: int, graph: Graph, values: Mapping[int, Array], tensor: int
    ) -> Array | None:
        """A tensor's value; for a resource handle that of its variable, to read or to write."""
        if tensor == ABSENT:
            return None
        if graph.tensors[tensor].dtype is DType.RESOURCE:
            variable = self.state.resources.handles.get((number, tensor))
            return None if variable is None else self.state.variables[variable]
        const = graph.tensors[tensor].data
        return const if const is not None else values[tensor]


def _store(graph: Graph, node: Node, values: Values, results: Sequence[Array | None]) -> None:
    outputs = [i for i in node.outputs if graph.tensors[i].dtype is not DType.RESOURCE]
    kept = [r for i, r in zip(node.outputs, results, strict=False) if i in outputs]
    for tensor, result in zip(outputs, kept, strict=True):
        assert result is not None
        if graph.tensors[tensor].is_variable:
            values[tensor][...] = result
        else:
            values[tensor] = result.reshape(graph.tensors[tensor].shape)
