"""The executable specification of a well-formed module; run after loading and after every flow."""

from __future__ import annotations

import math

from edgepack.errors import ModelError
from edgepack.ir.graph import Graph, Module
from edgepack.ir.node import ABSENT
from edgepack.ir.tensor import Tensor
from edgepack.types import DType

# Larger tensors cannot be addressed by the 32-bit offsets of the generated code.
MAX_TENSOR_BYTES = 1 << 31


def verify(module: Module) -> None:
    """Check that a module is well formed.

    Raises:
        ModelError: naming the graph, tensor or node that breaks a rule, and the rule.
    """
    if not module.graphs:
        raise ModelError(f"model {module.name!r} has no subgraph")
    for graph in module.graphs:
        for tensor in graph.tensors.values():
            _verify_tensor(graph, tensor)
        _verify_dataflow(graph)


def _fail(graph: Graph, what: str) -> ModelError:
    return ModelError(f"malformed model, subgraph {graph.name!r}: {what}")


def _verify_tensor(graph: Graph, tensor: Tensor) -> None:
    label = f"tensor {tensor.id} {tensor.name!r} {tensor.describe()}"
    if any(dim < 0 for dim in tensor.shape):
        raise _fail(graph, f"{label} has a negative dimension")
    if tensor.nbytes >= MAX_TENSOR_BYTES:
        raise _fail(graph, f"{label} takes {tensor.nbytes} bytes (limit {MAX_TENSOR_BYTES})")
    quant = tensor.quant
    if quant is not None:
        if len(quant.scale) != len(quant.zero_point) or not quant.scale:
            raise _fail(
                graph,
                f"{label} has {len(quant.scale)} scales and {len(quant.zero_point)} zero points",
            )
        if any(not (math.isfinite(s) and s >= 0) for s in quant.scale):
            raise _fail(graph, f"{label} has a scale that is negative or not finite")
        if quant.per_channel and (
            not 0 <= quant.axis < len(tensor.shape) or tensor.shape[quant.axis] != len(quant.scale)
        ):
            raise _fail(
                graph, f"{label} has {len(quant.scale)} scales along dimension {quant.axis}"
            )
    data = tensor.data
    if data is not None:
        if data.shape != tensor.shape or data.dtype != tensor.dtype.numpy:
            raise _fail(graph, f"{label} holds data of {data.dtype}{list(data.shape)}")
        if tensor.dtype is DType.INT4 and data.size and (data.min() < -8 or data.max() > 7):
            raise _fail(graph, f"{label} holds values outside -8..7")


def _verify_dataflow(graph: Graph) -> None:
    defined = {i for i, t in graph.tensors.items() if t.is_const or t.is_variable}
    for i in graph.inputs:
        if i not in graph.tensors:
            raise _fail(graph, f"input {i} is not a tensor")
        if graph.tensors[i].is_const:
            raise _fail(graph, f"input {graph.tensors[i].name!r} is a constant")
        defined.add(i)
    written: set[int] = set(graph.inputs)
    for node in graph.nodes:
        label = f"op {node.index} {node.op}"
        for i in node.inputs:
            if i == ABSENT:
                continue
            if i not in graph.tensors:
                raise _fail(graph, f"{label} reads tensor {i}, which does not exist")
            if i not in defined:
                name = graph.tensors[i].name
                raise _fail(graph, f"{label} reads {name!r} before anything wrote it")
        for i in node.outputs:
            if i not in graph.tensors:
                raise _fail(graph, f"{label} writes tensor {i}, which does not exist")
            tensor = graph.tensors[i]
            if tensor.is_const:
                raise _fail(graph, f"{label} writes the constant {tensor.name!r}")
            if i in written:
                raise _fail(graph, f"{label} writes {tensor.name!r}, which was already written")
            written.add(i)
            defined.add(i)
    for i in graph.outputs:
        if i not in graph.tensors:
            raise _fail(graph, f"output {i} is not a tensor")
        if i not in defined:
            raise _fail(graph, f"output {graph.tensors[i].name!r} is never written")
