"""Remove channels that hold the same value for every input, and those that nobody reads.

A constant channel adds a constant to each consumer, which goes into the consumer's bias; its own
computation then disappears. Exact: the ranges are proven in the kernels' own integer arithmetic
(ranges.py). MLPerf Tiny's VWW model loses half of its multiply-accumulates this way.

Depthwise convolutions and pooling tie the channels of input and output together, so whole groups of
tensors lose a channel at once. What decides is only what the group's other consumers see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgepack.ir import ABSENT, Graph, Module, Node, Quantization, Tensor
from edgepack.ops.conv_2d import Conv2DAttributes
from edgepack.ops.reshape import ReshapeAttributes
from edgepack.ops.shared.base import NodeView
from edgepack.passes.ranges import ChannelRange, channel_ranges
from edgepack.types import Array, DType

_TIED = frozenset({"DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"})

Mask = npt.NDArray[np.bool_]


def drop_constant_channels(module: Module) -> Module:
    """Rewrite the entry graph until no channel can be dropped any more."""
    graph = module.main
    while (smaller := _round(graph)) is not None:
        graph = smaller
    return module.with_main(graph)


@dataclass(frozen=True)
class _Group:
    """Tensors that share their channels, the CONV_2D that makes them, and who reads them.

    RESHAPE ties too where all elements are channels (global pooling before a dense layer).
    """

    tensors: frozenset[int]
    makers: tuple[int, ...]  # node positions of CONV_2D that write a tensor of the group
    ties: tuple[int, ...]  # node positions inside the group
    readers: tuple[int, ...]  # node positions of CONV_2D or FULLY_CONNECTED outside


def _round(graph: Graph) -> Graph | None:
    ranges = channel_ranges(graph)
    for group in _groups(graph):
        drop = _droppable(graph, group, ranges)
        if drop is not None and drop.any():
            return _rewrite(graph, group, ~drop, ranges)
    return None


def _groups(graph: Graph) -> list[_Group]:
    """All groups whose makers and readers this pass knows how to slice."""
    parent: dict[int, int] = {}

    def find(t: int) -> int:
        while parent.setdefault(t, t) != t:
            t = parent[t]
        return t

    for node in graph.nodes:
        if _ties(graph, node):
            parent[find(node.outputs[0])] = find(node.inputs[0])
        elif node.op == "CONV_2D":
            find(node.outputs[0])
    members: dict[int, set[int]] = {}
    for tensor in parent:
        members.setdefault(find(tensor), set()).add(tensor)
    groups = (_group(graph, frozenset(tensors)) for _, tensors in sorted(members.items()))
    return [g for g in groups if g is not None]


def _ties(graph: Graph, node: Node) -> bool:
    if node.op != "RESHAPE" and node.op not in _TIED:
        return False
    source, target = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    if source.dtype is not DType.INT8 or source.shape[-1:] != target.shape[-1:]:
        return False
    return node.op in _TIED or source.elements == source.shape[-1]


def _group(graph: Graph, tensors: frozenset[int]) -> _Group | None:
    if tensors & {*graph.inputs, *graph.outputs}:
        return None
    producers, consumers = graph.producers(), graph.consumers()
    makers, ties, readers = set(), set(), set()
    for tensor in tensors:
        maker = producers.get(tensor)
        if maker is None:
            return None
        if _ties(graph, graph.nodes[maker]):
            ties.add(maker)
        elif graph.nodes[maker].op == "CONV_2D" and _sliceable(graph, graph.nodes[maker]):
            makers.add(maker)
        else:
            return None
        for reader in consumers.get(tensor, []):
            node = graph.nodes[reader]
            if node.inputs[0] != tensor or tensor in node.inputs[1:]:
                return None
            if _ties(graph, node):
                ties.add(reader)
            elif _sliceable(graph, node):
                readers.add(reader)
            else:
                return None
    return _Group(tensors, tuple(sorted(makers)), tuple(sorted(ties)), tuple(sorted(readers)))


def _sliceable(graph: Graph, node: Node) -> bool:
    """An int8 CONV_2D without groups, or FULLY_CONNECTED on a row, with constant operands."""
    view = NodeView.of(graph, node)
    if node.op not in ("CONV_2D", "FULLY_CONNECTED") or view.output().dtype is not DType.INT8:
        return False
    weights, bias = view.input(1), view.optional(2)
    if weights.data is None or weights.shape[-1] != view.input(0).shape[-1]:
        return False
    return bias is None or bias.data is not None


def _droppable(graph: Graph, group: _Group, ranges: Mapping[int, ChannelRange]) -> Mask | None:
    """Channels that every reader outside the group can do without; at least one channel stays."""
    channels = graph.tensors[next(iter(group.tensors))].shape[-1]
    drop = np.ones(channels, np.bool_)
    for position in group.readers:
        view = NodeView.of(graph, graph.nodes[position])
        known, weights = ranges[view.input(0).id], view.const(1, "weights")
        unread = ~weights.any(axis=tuple(range(weights.ndim - 1)))
        attrs = view.node.attrs
        spatial = isinstance(attrs, Conv2DAttributes) and weights.shape[1:3] != (1, 1)
        padded = spatial and getattr(attrs, "padding", "VALID") == "SAME"
        silent = known.low == view.input(0).zero_point  # contributes 0, in the padding too
        drop &= unread | (known.constant() & (silent | (not padded)))
    if drop.all():
        drop[0] = False
    return drop


def _rewrite(graph: Graph, group: _Group, keep: Mask, ranges: Mapping[int, ChannelRange]) -> Graph:
    tensors = dict(graph.tensors)
    nodes = list(graph.nodes)
    editor = _Editor(tensors, graph.next_id())
    for position in group.readers:
        nodes[position] = editor.slice_reader(nodes[position], keep, ranges)
    for position in group.makers:
        nodes[position] = editor.slice_maker(nodes[position], keep)
    for position in group.ties:
        if nodes[position].op == "DEPTHWISE_CONV_2D":
            nodes[position] = editor.slice_depthwise(nodes[position], keep)
        elif nodes[position].op == "RESHAPE":
            nodes[position] = editor.slice_reshape(nodes[position], int(keep.sum()))
    for tensor in group.tensors:
        old = tensors[tensor]
        tensors[tensor] = replace(old, shape=(*old.shape[:-1], int(keep.sum())))
    return graph.evolve(nodes=nodes, tensors=tensors)


class _Editor:
    """Makes sliced copies of constants (they may be shared, so originals stay as they are)."""

    def __init__(self, tensors: dict[int, Tensor], next_id: int) -> None:
        self.tensors, self.next_id = tensors, next_id

    def add(self, like: Tensor, data: Array, quant: Quantization | None) -> int:
        new = replace(like, id=self.next_id, shape=data.shape, data=data, quant=quant)
        self.tensors[new.id] = new
        self.next_id += 1
        return new.id

    def slice_maker(self, node: Node, keep: Mask) -> Node:
        """Drop output channels of a CONV_2D: weights [out, h, w, in], bias [out]."""
        return self._with(node, keep, axis=0)

    def slice_depthwise(self, node: Node, keep: Mask) -> Node:
        """Drop channels of a DEPTHWISE_CONV_2D: weights [1, h, w, channels], bias [channels]."""
        return self._with(node, keep, axis=3)

    def slice_reshape(self, node: Node, channels: int) -> Node:
        """Give a RESHAPE of one row its new length, as an attribute instead of an input."""
        shape = self.tensors[node.outputs[0]].shape
        attrs = ReshapeAttributes((*shape[:-1], channels))
        return replace(node, inputs=node.inputs[:1], attrs=attrs)

    def _with(self, node: Node, keep: Mask, *, axis: int) -> Node:
        weights = self.tensors[node.inputs[1]]
        assert weights.data is not None
        inputs = list(node.inputs)
        inputs[1] = self.add(
            weights, np.compress(keep, weights.data, axis=axis), _kept(weights, keep, axis)
        )
        if len(inputs) > 2 and inputs[2] != ABSENT:
            bias = self.tensors[inputs[2]]
            assert bias.data is not None
            inputs[2] = self.add(bias, bias.data[keep], _kept(bias, keep, 0))
        return replace(node, inputs=tuple(inputs))

    def slice_reader(self, node: Node, keep: Mask, ranges: Mapping[int, ChannelRange]) -> Node:
        """Drop input channels of a reader; what they contributed goes into the bias."""
        source, weights = self.tensors[node.inputs[0]], self.tensors[node.inputs[1]]
        assert weights.data is not None
        value = np.where(keep, 0, ranges[source.id].low - source.zero_point)
        products = weights.data.astype(np.int64) * value
        share = products.reshape(len(products), -1).sum(axis=1)
        has_bias = len(node.inputs) > 2 and node.inputs[2] != ABSENT
        bias = self.tensors[node.inputs[2]] if has_bias else None
        base = np.zeros(weights.shape[0], np.int32) if bias is None else bias.data
        assert base is not None
        total = base.astype(np.int64) + share
        like = bias if bias is not None else Tensor(-1, "folded_bias", (), DType.INT32)
        folded = self.add(like, total.astype(np.int32), like.quant)
        sliced = self.add(weights, weights.data[..., keep], weights.quant)
        return replace(node, inputs=(node.inputs[0], sliced, folded))


def _kept(tensor: Tensor, keep: Mask, axis: int) -> Quantization | None:
    """The quantization of a tensor after dropping channels along `axis`."""
    quant = tensor.quant
    if quant is None or not quant.per_channel or quant.axis != axis:
        return quant
    return Quantization(
        tuple(s for s, k in zip(quant.scale, keep, strict=True) if k),
        tuple(z for z, k in zip(quant.zero_point, keep, strict=True) if k),
        axis,
    )
