"""How large an arena to give TensorFlow Lite Micro: an estimate that leans to the safe side.

TFLM plans its memory on the device, and what it needs depends on its kernels and on the width of
a pointer. Too much is only RAM (`edgepack bench` reports what was used, `--tflm-arena` sets the
size); too little makes the interpreter refuse the model when it starts.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.ir import ABSENT, Graph, Module, Node, Tensor
from edgepack.types import DType

_ALIGN = 16  # TFLM aligns every buffer to this (MicroArenaBufferAlignment)
# Structures that TFLM keeps in the arena, in bytes with 64-bit pointers: interpreter and planner;
# node, registration and operator data; one tensor; one input or output; one channel's multiplier
# and shift. Upper bounds, set by comparing with arena_used_bytes() of the MLPerf Tiny models.
_FIXED = 1024
_NODE = 256
_TENSOR = 40
_PORT = 192
_CHANNEL = 8
# Bytes that optimized kernels take per weight of one output channel (two columns of int16 in
# CMSIS-NN) and per output channel (one int32 sum).
_COLUMN = 4
_SUM = 4
# Ops that accumulate a whole output in int32.
_ACCUMULATE = ("ADD_N", "MEAN", "SUM", "TRANSPOSE_CONV", "MIRROR_PAD")


def tflm_arena_bytes(module: Module) -> int:
    """Bytes of arena for a model as loaded, a multiple of 16.

    Args:
        module: before any pass of edgepack, because TFLM runs the file as it is.
    """
    total = sum(_structures(graph) for graph in module.graphs)
    total += sum(_persistent(graph) for graph in module.graphs)
    # a subgraph runs while its caller's tensors wait
    total += sum(_planned(graph) for graph in module.graphs)
    return _aligned(_FIXED + total)


def _aligned(size: int) -> int:
    return (size + _ALIGN - 1) // _ALIGN * _ALIGN


def _structures(graph: Graph) -> int:
    channels = sum(  # of filters; their biases carry the same scales once more
        len(tensor.quant.scale)
        for tensor in graph.tensors.values()
        if tensor.quant is not None and tensor.quant.per_channel and len(tensor.shape) > 1
    )
    ports = len(graph.inputs) + len(graph.outputs)
    return (
        _NODE * len(graph.nodes)
        + _TENSOR * len(graph.tensors)
        + _PORT * ports
        + _CHANNEL * channels
    )


def _persistent(graph: Graph) -> int:
    """State tensors, and the values of resource variables."""
    size = sum(_aligned(t.nbytes) for t in graph.tensors.values() if t.is_variable)
    for node in graph.nodes:
        if node.op == "ASSIGN_VARIABLE":
            size += _aligned(graph.tensors[node.inputs[1]].nbytes)
    return size


def _planned(graph: Graph) -> int:
    """Bytes of activations and scratch memory, placed as TFLM's planner does: largest first.

    Which of two equal buffers comes first can matter (VWW: 64,512 or 73,728 bytes), and is its own
    affair: the worse of both orders counts.
    """
    buffers = _buffers(graph)
    return max(
        _extent(sorted(buffers, key=lambda b: (-b[0], b[1], b[2]))),
        _extent(sorted(buffers, key=lambda b: (-b[0], -b[1], -b[2]))),
    )


def _extent(buffers: Sequence[tuple[int, int, int]]) -> int:
    """Bytes taken when each buffer gets the lowest place that is free while it lives."""
    taken: list[tuple[int, int, int, int]] = []  # offset, size, first node, last node
    for size, first, last in buffers:
        offset = 0
        for other, length, begin, end in sorted(taken):
            together = first <= end and begin <= last
            if together and offset < other + length and other < offset + size:
                offset = other + length
        taken.append((offset, size, first, last))
    return max((offset + size for offset, size, _, _ in taken), default=0)


def _buffers(graph: Graph) -> list[tuple[int, int, int]]:
    """Size, first and last node of everything that lives in the plan."""
    ends = {t: position for position, node in enumerate(graph.nodes) for t in node.inputs}
    ends |= dict.fromkeys(graph.outputs, len(graph.nodes))
    begins = dict.fromkeys(graph.inputs, 0)
    for position, node in enumerate(graph.nodes):
        begins |= dict.fromkeys(node.outputs, position)
    found = [
        (_aligned(graph.tensors[t].nbytes), first, ends.get(t, first))
        for t, first in begins.items()
        if not graph.tensors[t].is_variable
    ]
    scratch = ((_scratch(graph, node), i) for i, node in enumerate(graph.nodes))
    return found + [(size, i, i) for size, i in scratch if size]


def _scratch(graph: Graph, node: Node) -> int:
    constants = [graph.tensors[t] for t in node.inputs if t != ABSENT and graph.tensors[t].is_const]
    size = max((_weight_scratch(c) for c in constants if len(c.shape) > 1), default=0)
    if node.op in _ACCUMULATE:
        size += _SUM * sum(graph.tensors[t].elements for t in node.outputs)
    return _aligned(size)


def _weight_scratch(weights: Tensor) -> int:
    channels = max(1, weights.shape[0])
    unpacked = weights.elements if weights.dtype is DType.INT4 else 0
    # a depthwise filter has its channels last and one row: the same bound covers both
    column = weights.elements // channels if len(weights.shape) == 4 else 0
    return _COLUMN * column + _SUM * channels + unpacked
