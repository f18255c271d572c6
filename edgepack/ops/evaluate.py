"""Run a module in numpy, op by op: the executable meaning of the IR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgepack.errors import DataError
from edgepack.ir import ABSENT, Graph, Module
from edgepack.ops.shared.base import NodeView
from edgepack.ops.table import OPS
from edgepack.types import Array


def evaluate(module: Module, inputs: Sequence[Array]) -> dict[int, Array]:
    """All tensors of the entry graph for one inference.

    Args:
        inputs: one array per graph input, in its shape and dtype.

    Returns:
        Tensor id -> value, constants left out.

    Raises:
        DataError: an input of the wrong count, shape or dtype.
    """
    graph = module.main
    if len(inputs) != len(graph.inputs):
        raise DataError(f"{len(inputs)} inputs given, the model has {len(graph.inputs)}")
    values: dict[int, Array] = {}
    for tensor, array in zip((graph.tensors[i] for i in graph.inputs), inputs, strict=True):
        if array.shape != tensor.shape or array.dtype != tensor.dtype.numpy:
            raise DataError(
                f"input {tensor.name!r} is {array.dtype}{list(array.shape)}",
                allowed=tensor.describe(),
            )
        values[tensor.id] = array
    return _run(graph, values)


def _run(graph: Graph, values: dict[int, Array]) -> dict[int, Array]:
    for node in graph.nodes:
        inputs = [_value(graph, values, i) for i in node.inputs]
        results = OPS[node.op].reference(NodeView.of(graph, node), inputs)
        values.update(zip(node.outputs, results, strict=True))
    return values


def _value(graph: Graph, values: Mapping[int, Array], tensor: int) -> Array | None:
    if tensor == ABSENT:
        return None
    const = graph.tensors[tensor].data
    return const if const is not None else values[tensor]
