"""Weights as int8, activations as floats ("dynamic range"): a quarter of the file, for phones.

LiteRT's hybrid kernels quantize the activations of each inference as they come. Weights are
symmetric, per output channel where the hybrid kernel takes that (LiteRT quantization spec). Small
arrays stay float32, as TensorFlow Lite's own converter leaves them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor, Site
from edgepack.types import Array

MIN_ELEMENTS = (
    1024  # TFLiteConverter's own limit (mlir/lite/tools/optimize, weights_min_num_elements)
)
# operator -> (input that holds the weights, axis of the output channels; None for per tensor)
_WEIGHTS: dict[str, tuple[int, int | None]] = {
    "CONV_2D": (1, 0),
    "DEPTHWISE_CONV_2D": (1, 3),
    "FULLY_CONNECTED": (1, 0),
}
_LEVELS = 127


def to_dynamic(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Store the large weights of convolutions and dense layers as int8.

    Returns:
        The new model, and warnings about what stays float32.
    """
    editor = Editor(read_model(data))
    done: dict[tuple[int, int], int] = {}
    count = 0
    for name, (slot, axis) in _WEIGHTS.items():
        for site in editor.sites(name):
            count += _quantize(editor, site, slot, axis, done)
    if not count:
        return data, ("no float32 weights large enough: dynamic range changes nothing",)
    editor.sweep()
    return write_model(editor.model), _left(editor)


def _quantize(
    editor: Editor, site: Site, slot: int, axis: int | None, done: dict[tuple[int, int], int]
) -> int:
    inputs = editor.inputs(site)
    if len(inputs) <= slot or not editor.is_float(site.graph, inputs[0]):
        return 0
    index = inputs[slot]
    value = editor.constant(site.graph, index)
    if value is None or value.dtype != np.float32 or value.size < MIN_ELEMENTS:
        return 0
    key = id(site.graph), index
    if key not in done:
        done[key] = _constant(editor, site.graph, index, value, axis)
    inputs[slot] = done[key]
    site.operator.inputs = np.array(inputs, np.int32)
    if editor.name(site.operator) == "FULLY_CONNECTED":
        # The kernel of the hybrid operator is chosen by its version (LiteRT op_version.cc: 9 has
        # per-channel hybrid weights).
        site.operator.opcodeIndex = editor.opcode("FULLY_CONNECTED", 9)
    return 1


def _constant(editor: Editor, graph: Any, index: int, value: Array, axis: int | None) -> int:
    from ai_edge_litert import schema_py_generated as schema

    others = tuple(i for i in range(value.ndim) if i != axis) if axis is not None else None
    largest = np.abs(value).max(axis=others)
    scale = np.where(largest > 0, largest / _LEVELS, 1.0).astype(np.float32)
    shape = [1] * value.ndim
    if axis is not None:
        shape[axis] = -1
    stored = np.rint(value / scale.reshape(shape)).clip(-_LEVELS, _LEVELS).astype(np.int8)
    made = editor.add_constant(graph, stored, editor.tensor_name(graph, index))
    quantization = schema.QuantizationParametersT()
    quantization.scale = scale.reshape(-1)
    quantization.zeroPoint = np.zeros(scale.size, np.int64)
    quantization.quantizedDimension = axis or 0
    graph.tensors[made].quantization = quantization
    return made


def _left(editor: Editor) -> tuple[str, ...]:
    """What of the weights stays float32 although it is large."""
    found = []
    for graph in editor.model.subgraphs:
        for operator in graph.operators:
            site = Site(graph, operator)
            for index in editor.inputs(site):
                value = editor.constant(graph, index)
                if value is not None and value.dtype == np.float32 and value.size >= MIN_ELEMENTS:
                    found.append(
                        f"the {value.size:,} weights of {editor.name(operator)} "
                        f"{editor.tensor_name(graph, index)!r} stay float32"
                    )
    return tuple(dict.fromkeys(found))
