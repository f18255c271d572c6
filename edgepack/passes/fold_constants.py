"""Nodes whose inputs are all constant become constants, evaluated by their numpy reference.

So does SHAPE, as shapes are static, and with it the shape arithmetic that converters leave behind.
The pass runs first and accepts modules that verify_ops has not seen: ops that demand a constant
input often get it only here. It leaves alone what it cannot evaluate, for verify_ops to report.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgepack.errors import UnsupportedError
from edgepack.ir import ABSENT, Graph, Module, Node, Tensor
from edgepack.ops.shared.base import NodeView
from edgepack.ops.table import OPS
from edgepack.types import Array, DType

# A constant that is larger than those it replaces costs flash, a node costs code and RAM.
MAX_GROWTH_BYTES = 256

_SHAPE_ONLY = frozenset(("SHAPE", "ZEROS_LIKE"))  # the values of their input do not matter
# Their consumers have kernels only for the type that they convert to.
_GROW_FREELY = frozenset(("DEQUANTIZE", "CAST"))
_SAME_BYTES = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"))
_NEVER = frozenset(
    (
        "ASSIGN_VARIABLE",
        "CALL_ONCE",
        "IF",
        "MULTINOMIAL",
        "RANDOM_STANDARD_NORMAL",
        "RANDOM_UNIFORM",
        "READ_VARIABLE",
        "VAR_HANDLE",
        "WHILE",
    )
)


def fold_constants(module: Module) -> Module:
    """Fold every graph of the module; integers stay exactly what the kernels would compute."""
    return replace(module, graphs=tuple(_fold(graph) for graph in module.graphs))


def _fold(graph: Graph) -> Graph:
    tensors = dict(graph.tensors)
    kept: list[Node] = []
    readers = {tensor: len(found) for tensor, found in graph.consumers().items()}
    for node in graph.nodes:
        # consumers see the constants made so far
        view = NodeView(
            node,
            tuple(None if i == ABSENT else tensors[i] for i in node.inputs),
            tuple(tensors[i] for i in node.outputs),
        )
        values = _evaluate(graph, view, readers)
        if values is None:
            kept.append(node)
        else:
            tensors.update((tensor.id, tensor) for tensor in values)
    return graph if len(kept) == len(graph.nodes) else graph.evolve(nodes=kept, tensors=tensors)


def _evaluate(graph: Graph, view: NodeView, readers: dict[int, int]) -> list[Tensor] | None:
    """The outputs as constants, or None where the node must stay."""
    node = view.node
    op = OPS.get(node.op)
    if op is None or node.op in _NEVER or not _is_constant(view):
        return None
    # an output of the graph must lie in the arena
    if any(i in graph.outputs for i in node.outputs) or _growth(view, readers) > MAX_GROWTH_BYTES:
        return None
    if _widens_float16(view):
        return [replace(view.output(0), data=_data(view).astype(np.float32))]
    try:
        op.check(view)
        if op.infer_shape(view) != tuple(t.shape for t in view.outputs):
            return None
    except UnsupportedError:
        return None
    inputs = [None if t is None else t.data for t in view.inputs]
    with np.errstate(all="ignore"):  # infinities and NaN are values like others
        values = op.reference(view, inputs)
    return [replace(t, data=value) for t, value in zip(view.outputs, values, strict=True)]


def _widens_float16(view: NodeView) -> bool:
    """Whether it is how a converter stores float32 weights in half the file.

    There is no kernel for float16: such a constant becomes the float32 that it stands for.
    """
    if view.node.op != "DEQUANTIZE" or view.input(0).dtype is not DType.FLOAT16:
        return False
    return view.output(0).dtype is DType.FLOAT32


def _data(view: NodeView) -> Array:
    data = view.input(0).data
    assert data is not None  # _is_constant
    return data


def _is_constant(view: NodeView) -> bool:
    present = [t for t in view.inputs if t is not None]
    if any(t.is_variable or t.dtype is DType.RESOURCE for t in (*present, *view.outputs)):
        return False
    known = view.node.op in _SHAPE_ONLY or all(t.is_const for t in present)
    return bool(present) and known


def _growth(view: NodeView, readers: dict[int, int]) -> int:
    """Bytes of constants gained: the outputs less the inputs that nobody else reads.

    A reshaped constant has the bytes of its source, of which the emitter writes one copy.
    """
    if view.node.op in _GROW_FREELY | _SAME_BYTES:
        return 0
    made = sum(t.nbytes for t in view.outputs)
    inputs = {t.id: t for t in view.inputs if t is not None and t.is_const}
    return made - sum(t.nbytes for t in inputs.values() if readers.get(t.id, 0) == 1)
