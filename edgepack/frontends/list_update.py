"""What converters make of `list[i] = item` in a loop, written as one DYNAMIC_UPDATE_SLICE.

Keras layers that return sequences convert to a concatenation of the rows before i, the item, and
the rows after it. Both slices have a size that is only known at run time, so no runtime with a
static memory plan can hold them, TensorFlow Lite Micro included; their concatenation is static.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from edgepack.ir import Attributes, Graph, Node, Tensor
from edgepack.ops.concatenation import ConcatenationAttributes
from edgepack.types import DType


def fuse_list_updates(graph: Graph, dynamic: Collection[int]) -> Graph:
    """Replace every such concatenation of tensors in `dynamic`.

    Exact for indices within the list; beyond it the original fails and the update is clamped.
    """
    if not dynamic:
        return graph
    fused = _Fusion(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += fused.rewrite(node) if node.op == "CONCATENATION" else [node]
    if not fused.removed:
        return graph
    return graph.evolve(
        nodes=(n for n in nodes if not fused.removed.intersection(n.outputs)), tensors=fused.tensors
    )


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = dict(graph.tensors)
        self.made_by = {t: node for node in graph.nodes for t in node.outputs}
        self.readers = graph.consumers()
        self.removed: set[int] = set()

    def rewrite(self, node: Node) -> list[Node]:
        """The nodes that take the place of a concatenation; itself where it is another one."""
        if len(node.inputs) != 3:
            return [node]
        before, item, after = node.inputs
        first, last = self._slice(before), self._slice(after)
        if first is None or last is None or first.inputs[0] != last.inputs[0]:
            return [node]
        rows, out = self.tensors[first.inputs[0]], self.tensors[node.outputs[0]]
        index = self._starts_with(first.inputs[2], -1)
        following = self._starts_with(last.inputs[1], 0)
        fits = (
            isinstance(node.attrs, ConcatenationAttributes)
            and node.attrs.axis in (0, -len(rows.shape))
            and node.attrs.activation == "NONE"
            and rows.shape == out.shape
            and self.tensors[item].shape == (1, *rows.shape[1:])
            and self._all(first.inputs[1], 0)
            and self._all(last.inputs[2], -1)
        )
        if not fits or index is None or following is None or not self._is_next(index, following):
            return [node]
        begin_node = self.made_by[last.inputs[1]]
        begin = Tensor(max(self.tensors) + 1, f"{out.name}_begin", (len(rows.shape),), DType.INT32)
        self.tensors[begin.id] = begin
        self.removed.update((before, after))
        start = replace(
            begin_node,
            inputs=(index, *begin_node.inputs[1:]),
            outputs=(begin.id,),
            index=node.index,
        )
        update = replace(
            node, op="DYNAMIC_UPDATE_SLICE", inputs=(rows.id, item, begin.id), attrs=Attributes()
        )
        return [start, update]

    def _slice(self, tensor: int) -> Node | None:
        """The SLICE that makes a tensor which nothing else reads."""
        node = self.made_by.get(tensor)
        if node is None or node.op != "SLICE" or len(self.readers.get(tensor, ())) != 1:
            return None
        return None if tensor in self.graph.outputs else node

    def _starts_with(self, tensor: int, rest: int) -> int | None:
        """The first element, a tensor of one, of a vector whose others are all `rest`."""
        node = self.made_by.get(tensor)
        if node is None or node.op != "CONCATENATION" or len(node.inputs) != 2:
            return None
        if self.tensors[tensor].dtype is not DType.INT32 or not self._all(node.inputs[1], rest):
            return None
        return node.inputs[0] if self.tensors[node.inputs[0]].elements == 1 else None

    def _all(self, tensor: int, value: int) -> bool:
        data = self.tensors[tensor].data
        return data is not None and bool((data == value).all())

    def _is_next(self, index: int, following: int) -> bool:
        """Whether `following` is `index` plus one; both may have been reshaped."""
        node = self.made_by.get(self._source(following))
        if node is None or node.op != "ADD":
            return False
        index = self._source(index)
        return any(
            self._source(node.inputs[slot]) == index and self._all(node.inputs[1 - slot], 1)
            for slot in (0, 1)
        )

    def _source(self, tensor: int) -> int:
        node = self.made_by.get(tensor)
        while node is not None and node.op == "RESHAPE":
            tensor = node.inputs[0]
            node = self.made_by.get(tensor)
        return tensor
