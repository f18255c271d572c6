"""A stable text of a module, for dumps, diffs and golden tests."""

from __future__ import annotations

import hashlib

from edgepack.ir.graph import Graph, Module
from edgepack.ir.node import ABSENT
from edgepack.ir.tensor import Tensor


def to_text(module: Module) -> str:
    """The module as text: one line per node; constants are shown by a digest of their bytes."""
    return "\n".join(
        line for number, graph in enumerate(module.graphs) for line in _graph_lines(number, graph)
    )


def _graph_lines(number: int, graph: Graph) -> list[str]:
    def ref(i: int) -> str:
        return "-" if i == ABSENT else _tensor(graph.tensors[i])

    lines = [f"graph {number} {graph.name!r}"]
    lines += [f"  input  {ref(i)}" for i in graph.inputs]
    for node in graph.nodes:
        outputs = ", ".join(ref(i) for i in node.outputs)
        inputs = ", ".join(ref(i) for i in node.inputs)
        lines.append(f"  {outputs} = {node.op}({inputs}) {node.attrs}")
    lines += [f"  output {ref(i)}" for i in graph.outputs]
    return lines


def _tensor(tensor: Tensor) -> str:
    text = f"%{tensor.id}:{tensor.describe()}"
    if tensor.quant is not None:
        scales, zeros = tensor.quant.scale, tensor.quant.zero_point
        if tensor.quant.per_channel:
            text += f"q{len(scales)}@{tensor.quant.axis}"
        else:
            text += f"q({scales[0]!r},{zeros[0]})"
    if tensor.data is not None:
        text += "#" + hashlib.sha256(tensor.data.tobytes()).hexdigest()[:8]
    return text
