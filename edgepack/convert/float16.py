"""Weights as float16: half the file, for phones; computed in float32, or in float16 on a GPU.

Every constant becomes float16 with a DEQUANTIZE behind it, which is how TensorFlow Lite's own
converter writes such models and what GPU delegates look for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor
from edgepack.types import Array

LARGEST = float(np.finfo(np.float16).max)  # 65504
# The smallest float16 that keeps all of its 11 bits (IEEE 754, binary16).
_SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)


def to_float16(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Store the float32 constants of a `.tflite` as float16.

    Returns:
        The new model, and warnings; the bytes themselves where there was nothing to store.
    """
    editor = Editor(read_model(data))
    warnings: list[str] = []
    changed = sum(_graph(editor, graph, warnings) for graph in editor.model.subgraphs)
    if not changed:
        return data, ("no float32 weights: float16 changes nothing",)
    editor.sweep()
    return write_model(editor.model), tuple(warnings)


def widen_float16(data: bytes) -> bytes:
    """The inverse: float16 constants with a DEQUANTIZE behind them as the float32 they stand for.

    Every value stays exactly what it is. For TensorFlow Lite Micro, which has no float16.

    Returns:
        The new model; the bytes themselves where there is no such constant.
    """
    editor = Editor(read_model(data))
    changed = False
    for site in list(editor.sites("DEQUANTIZE")):
        half = editor.constant(site.graph, editor.inputs(site)[0])
        (wide,) = editor.outputs(site)
        if half is not None and half.dtype == np.float16:
            site.graph.tensors[wide].buffer = editor.add_buffer(half.astype(np.float32))
            editor.remove(site)
            changed = True
    if not changed:
        return data
    editor.sweep()
    return write_model(editor.model)


def _graph(editor: Editor, graph: Any, warnings: list[str]) -> int:
    done: dict[int, int] = {}  # float32 constant -> what DEQUANTIZE makes of its float16 copy
    added = []
    for operator in graph.operators or []:
        inputs = [] if operator.inputs is None else [int(i) for i in operator.inputs]
        for place, index in enumerate(inputs):
            value = editor.constant(graph, index)
            if value is None or value.dtype != np.float32:
                continue
            if index not in done:
                added.append(_dequantize(editor, graph, index, value, done, warnings))
            if index in done:
                inputs[place] = done[index]
        operator.inputs = np.array(inputs, np.int32)
    operators = [operator for operator in added if operator is not None]
    graph.operators = [*operators, *(graph.operators or [])]
    return len(operators)


def _dequantize(
    editor: Editor, graph: Any, index: int, value: Array, done: dict[int, int], warnings: list[str]
) -> Any:
    """The operator that makes a constant float32 again; None where it stays as it is."""
    name = editor.tensor_name(graph, index)
    largest = float(np.abs(value).max(initial=0.0))
    if largest > LARGEST or not np.isfinite(largest):
        warnings.append(f"{name} stays float32: its values reach {largest:.3g}, above {LARGEST:g}")
        return None
    if 0 < largest < _SMALLEST_NORMAL:
        warnings.append(f"{name} stays float32: its values are below {_SMALLEST_NORMAL:.2g}")
        return None
    from ai_edge_litert import schema_py_generated as schema

    half = editor.add_constant(graph, value.astype(np.float16), name)
    done[index] = editor.add_tensor(graph, value.shape, index, f"{name}_dequantize")
    return editor.operator("DEQUANTIZE", [half], [done[index]], schema.DequantizeOptionsT())
