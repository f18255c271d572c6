"""Layers whose weights are +-1 or 0, and activations between them that take two or three values.

What a layer is follows from the integers of the file alone: its weights have one magnitude, and for
every sum that its inputs can make, the requantized and clamped output is one of two values that lie
symmetrically around the zero point, or that itself. Such tensors are stored as bits if everything
that reads them can; the outputs of the graph stay what they were, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgepack.ir import BitTensor, Graph, Quantization
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.bits import Levels, SignWeights, levels_of, sign_weights, sums_of
from edgepack.ops.shared.bits_calls import BitLayer, BitMove, BitNode
from edgepack.ops.shared.fixed_point import activation_range
from edgepack.ops.table import OPS
from edgepack.types import DType

_RESHAPES = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"))


@dataclass(frozen=True)
class Packed:
    """A graph with bits as BitTensors, and by position what computes on them."""

    graph: Graph
    nodes: Mapping[int, BitNode]


def pack_bits(graph: Graph, optimize: str = "balanced") -> Packed:
    """Find layers with weights of one bit and activations of one bit.

    Args:
        optimize: `speed` leaves layers that read and write int8 to the int8 kernels, which need no
            tables.
    """
    views = [NodeView.of(graph, node) for node in graph.nodes]
    found = {position: sign_weights(view) for position, view in enumerate(views)}
    layers = {position: weights for position, weights in found.items() if weights is not None}
    if not layers:
        return Packed(graph, {})
    bits = _bits(graph, views, layers)
    nodes: dict[int, BitNode] = {}
    for position, view in enumerate(views):
        into, out = view.node.inputs[:1], view.node.outputs[:1]
        if position in layers:
            source = bits.get(into[0])
            sums = sums_of(view, layers[position], None if source is None else source.magnitude)
            if sums is None:
                continue
            levels = levels_of(view, sums) if out[0] in bits else None
            if optimize == "speed" and source is None and levels is None:
                continue
            nodes[position] = BitLayer(
                layers[position],
                sums.gain,
                0 if source is None else source.planes,
                None if levels is None else levels.thresholds,
                OPS[view.node.op].macs(view),
            )
        elif out and out[0] in bits:
            nodes[position] = BitMove()
    tensors = dict(graph.tensors)
    for tensor, levels in bits.items():
        old = tensors[tensor]
        made = BitTensor(old.id, old.name, old.shape, DType.UINT8, old.quant, planes=levels.planes)
        tensors[tensor] = made
    return Packed(replace(graph, tensors=tensors), nodes)


def _bits(
    graph: Graph, views: list[NodeView], layers: Mapping[int, SignWeights]
) -> dict[int, Levels]:
    """Tensors to store as bits, with what they stand for.

    A tensor that some reader wants as int8 is left out, and then what made it may have to be too.
    """
    banned = {*graph.inputs, *graph.outputs}
    while True:
        bits = _few_valued(views, layers, banned)
        readers = graph.consumers()
        refused = {
            tensor
            for tensor in bits
            if not all(
                _reads(views[position], tensor, position in layers, bits)
                for position in readers.get(tensor, [])
            )
        }
        if not refused:
            return bits
        banned |= refused


def _few_valued(
    views: list[NodeView], layers: Mapping[int, SignWeights], banned: set[int]
) -> dict[int, Levels]:
    found: dict[int, Levels] = {}
    for position, view in enumerate(views):
        if not view.node.outputs or view.node.outputs[0] in banned:
            continue
        made = view.node.outputs[0]
        if position in layers:
            source = found.get(view.node.inputs[0])
            sums = sums_of(view, layers[position], None if source is None else source.magnitude)
            levels = None if sums is None else levels_of(view, sums)
            if levels is not None:
                found[made] = levels
        elif view.node.inputs and view.node.inputs[0] in found and _passes_on(view, found):
            found[made] = found[view.node.inputs[0]]
    return found


def _passes_on(view: NodeView, bits: Mapping[int, Levels]) -> bool:
    """Whether a node moves or chooses values, in an order that bits keep."""
    x, out = view.input(0), view.output()
    if out.dtype is not DType.INT8 or not _same(x.quant, out.quant):
        return False
    if view.node.op in _RESHAPES:
        whole = all(t.shape and t.shape[-1] % 8 == 0 for t in (x, out))
        return whole or x.shape[-1:] == out.shape[-1:]
    if view.node.op != "MAX_POOL_2D":
        return False
    activation = getattr(view.node.attrs, "activation", "NONE")
    low, high = activation_range(activation, out.dtype, out.scale, out.zero_point)
    magnitude = bits[x.id].magnitude
    return low <= out.zero_point - magnitude and out.zero_point + magnitude <= high


def _same(one: Quantization | None, other: Quantization | None) -> bool:
    return one is not None and one == other


def _reads(view: NodeView, tensor: int, layer: bool, bits: Mapping[int, Levels]) -> bool:
    """Whether a node reads a tensor as bits."""
    if view.node.inputs[0] != tensor or tensor in view.node.inputs[1:]:
        return False
    if not layer:
        return bool(view.node.outputs) and view.node.outputs[0] in bits
    x, w = view.input(0), view.input(1)
    if view.node.op == "FULLY_CONNECTED" and x.shape[-1] != w.shape[1] and x.shape[-1] % 8:
        return False  # a dense layer of many positions, each of which begins a byte
    found = sign_weights(view)
    return found is not None and sums_of(view, found, bits[tensor].magnitude) is not None
