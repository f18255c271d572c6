"""Legacy uint8 models (before TensorFlow Lite's int8 specification) as int8, with equal results.

An activation q becomes q - 128 with its zero point moved alike, so that real values stay. Weights
of int8 have zero point 0: their values become q - zero_point, where that fits int8. A weight whose
value does not (up to 255) is split into some that do (`wide_weights`).
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor, Site
from edgepack.convert.wide_weights import (
    around_zero,
    grouped,
    plain_convolution,
    read_again,
    read_channels,
    split,
)
from edgepack.errors import UnsupportedError
from edgepack.types import Array, DType

_HALF = 128
# operator -> axis of its weights that counts input channels; None where each output channel has one
_INPUT_AXIS = {"CONV_2D": 3, "FULLY_CONNECTED": 1, "DEPTHWISE_CONV_2D": None}
# Operators whose int8 kernels take what the uint8 ones took, with every zero point moved.
_SHIFTING = frozenset(
    {
        "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "DEPTH_TO_SPACE", "DEQUANTIZE", "EXPAND_DIMS",
        "GATHER", "L2_NORMALIZATION", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM",
        "MUL", "PACK", "PAD", "PADV2", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE",
        "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT",
        "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "SUB", "TANH", "TILE", "TRANSPOSE", "UNPACK",
    }
)  # fmt: skip
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "SOFTMAX": 2, "ADD": 2}
INTERFACE = (
    "inputs and outputs were uint8 and are int8 now: subtract 128 before, add 128 afterwards; "
    "real values, scale * (stored - zero point), are the same"
)


def is_uint8(model: Any) -> bool:
    """Whether a model computes on quantized uint8 tensors."""
    editor = Editor(model)
    return any(
        _is_quantized_uint8(editor, graph, index)
        for graph in model.subgraphs
        for index in range(len(graph.tensors or []))
    )


def shifted(values: Array) -> Array:
    """uint8 as the int8 that stands for the same real number, and back."""
    made: Array = (values.view(np.uint8) ^ _HALF).view(
        np.int8 if values.dtype == np.uint8 else np.uint8
    )
    return made


def to_int8(data: bytes) -> tuple[bytes, list[str]]:
    """Rewrite a uint8 model.

    Returns:
        The int8 model, and what the user should know.

    Raises:
        UnsupportedError: an operator whose int8 kernel would compute something else.
    """
    editor = Editor(read_model(data))
    repeated = 0
    for name in _INPUT_AXIS:
        for site in editor.sites(name):
            repeated += _weights(editor, site)
    for graph in editor.model.subgraphs:
        for operator in graph.operators or []:
            _check(editor, Site(graph, operator))
        for index in range(len(graph.tensors)):
            _shift(editor, graph, index)
    for name, version in _VERSIONS.items():
        for site in list(editor.sites(name)):
            site.operator.opcodeIndex = editor.opcode(name, version)
    warnings = [INTERFACE]
    if repeated:
        warnings.append(
            f"{repeated} input channels are read again, because their weights reach beyond int8 "
            "around the zero point: this costs multiplications, but no accuracy"
        )
    return write_model(editor.model), warnings


def _is_quantized_uint8(editor: Editor, graph: Any, index: int) -> bool:
    quantization = graph.tensors[index].quantization
    quantized = quantization is not None and quantization.scale is not None
    return quantized and editor.dtype(graph, index) is DType.UINT8


def _check(editor: Editor, site: Site) -> None:
    name = editor.name(site.operator)
    touched = [i for i in (*editor.inputs(site), *editor.outputs(site)) if i >= 0]
    if name in _INPUT_AXIS or name in _SHIFTING:
        return
    if any(_is_quantized_uint8(editor, site.graph, i) for i in touched):
        raise UnsupportedError(
            f"{name} on uint8 (makes {editor.tensor_name(site.graph, touched[-1])!r}) has no int8 "
            "operator that computes the same",
            next_step="convert the original model again, to int8",
        )


def _shift(editor: Editor, graph: Any, index: int) -> None:
    """Make a quantized uint8 tensor int8; constants are shifted with their zero point."""
    if not _is_quantized_uint8(editor, graph, index):
        return
    from ai_edge_litert import schema_py_generated as schema

    value = editor.constant(graph, index)
    tensor = graph.tensors[index]
    tensor.type = schema.TensorType.INT8
    tensor.quantization = copy.copy(tensor.quantization)  # tensors made by us share it
    points = tensor.quantization.zeroPoint
    tensor.quantization.zeroPoint = np.asarray(points, np.int64) - _HALF
    if value is not None:
        tensor.buffer = editor.add_buffer(shifted(value))


def _weights(editor: Editor, site: Site) -> int:
    """Make the weights of an operator int8 with zero point 0; how many channels are read again."""
    inputs = editor.inputs(site)
    graph, index = site.graph, inputs[1]
    if not _is_quantized_uint8(editor, graph, index):
        return 0
    value = editor.constant(graph, index)
    if value is None:
        raise UnsupportedError(
            f"{editor.name(site.operator)} takes weights that are computed, on uint8",
            next_step="convert the original model again, to int8",
        )
    old = graph.tensors[index].quantization
    axis = _INPUT_AXIS[editor.name(site.operator)]
    real = around_zero(value, np.asarray(old.zeroPoint), old.quantizedDimension)
    if axis is None and (real != real.astype(np.int8)).any():
        return _grouped(editor, site, real)
    made, extra = (real.astype(np.int8), []) if axis is None else split(real, axis)
    if extra:
        assert axis is not None
        gather, inputs[0] = read_again(editor, graph, inputs[0], extra, real.shape[axis])
        _insert(site, gather)
    inputs[1] = _add_weights(editor, graph, index, made, old.quantizedDimension)
    site.operator.inputs = np.array(inputs, np.int32)
    return len(extra)


def _grouped(editor: Editor, site: Site, real: Array) -> int:
    """A DEPTHWISE_CONV_2D whose weights reach beyond int8 as a CONV_2D with groups."""
    from ai_edge_litert import schema_py_generated as schema

    inputs, options = editor.inputs(site), site.operator.builtinOptions
    channels = editor.shape(site.graph, inputs[0])[-1]
    made, order = grouped(real, real.shape[3] // channels)
    gather, inputs[0] = read_channels(editor, site.graph, inputs[0], order)
    inputs[1] = _add_weights(editor, site.graph, inputs[1], made, 0)
    _insert(site, gather)
    site.operator.builtinOptions = plain_convolution(options)
    site.operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    site.operator.opcodeIndex = editor.opcode("CONV_2D", _VERSIONS["CONV_2D"])
    site.operator.inputs = np.array(inputs, np.int32)
    return len(order) - channels


def _add_weights(editor: Editor, graph: Any, like: int, value: Array, axis: int) -> int:
    """int8 weights with zero point 0 and the scales of other ones."""
    from ai_edge_litert import schema_py_generated as schema

    made = editor.add_constant(graph, value, editor.tensor_name(graph, like))
    scale = graph.tensors[like].quantization.scale
    quantization = schema.QuantizationParametersT()
    quantization.scale = np.asarray(scale, np.float32)
    quantization.zeroPoint = np.zeros(len(scale), np.int64)
    quantization.quantizedDimension = axis
    graph.tensors[made].quantization = quantization
    return made


def _insert(site: Site, operator: Any) -> None:
    """Put an operator in front of another."""
    place = next(i for i, o in enumerate(site.graph.operators) if o is site.operator)
    site.graph.operators.insert(place, operator)
