"""ONNX operator -> how it is replaced. A rewrite returns False where the node can stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgepack.convert.onnx_parts import activations, moves, pools, recurrent, reductions, resize
from edgepack.convert.onnx_parts.parts import Parts, Rewrite
from edgepack.types import Shape

REWRITES: dict[str, Rewrite] = {
    "ArgMax": reductions.last_index("ArgMax"),
    "ArgMin": reductions.last_index("ArgMin"),
    "AveragePool": pools.average,
    "Clip": activations.clip,
    "HardSigmoid": activations.hard_sigmoid,
    "HardSwish": activations.hard_swish,
    "LRN": reductions.local_response,
    "LayerNormalization": reductions.layer_normalization,
    "LpNormalization": reductions.normalize,
    "MatMul": activations.product,
    "MaxPool": pools.maximum,
    "Mod": activations.modulo,
    "PRelu": activations.prelu,
    "Pad": moves.pad,
    "Pow": activations.power,
    "ReduceL1": reductions.norm_1,
    "ReduceL2": reductions.norm_2,
    "ReduceMax": reductions.named_axes("ReduceMax"),
    "ReduceMean": reductions.named_axes("ReduceMean"),
    "ReduceMin": reductions.named_axes("ReduceMin"),
    "ReduceSum": reductions.named_axes("ReduceSum"),
    "ReduceSumSquare": reductions.squares,
    "Resize": resize.resize,
    "Slice": moves.backward_slice,
}

# what ONNX Runtime, which the result is compared with, does not run either
STANDARDIZE: dict[str, Rewrite] = dict.fromkeys(("GRU", "LSTM", "RNN"), recurrent.batch_first)


def split_up(
    proto: Any, shapes: Mapping[str, Shape], table: Mapping[str, Rewrite] = REWRITES
) -> None:
    """Replace every node that has a row in a table; `shapes` are those of the values."""
    from onnx import numpy_helper

    opset = next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))
    constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    types = {t.name: t.data_type for t in proto.graph.initializer}
    for value in (*proto.graph.input, *proto.graph.value_info, *proto.graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    kept = []
    for node in proto.graph.node:
        rewrite = table.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        parts = Parts(node, shapes, constants, types, opset)
        if rewrite is None or not rewrite(parts):
            kept.append(node)
            continue
        kept += parts.nodes
        proto.graph.initializer.extend(parts.made)
    nodes = list(kept)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
