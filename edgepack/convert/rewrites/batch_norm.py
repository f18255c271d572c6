"""MUL and ADD with a constant per channel behind a convolution -> its weights and bias.

What is left of a batch normalization (Jacob et al. 2018, section 3.2) that the converter of its
source did not fold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor, Site
from edgepack.types import Array

# operator -> the axis of its weights that counts output channels
_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


def apply(editor: Editor) -> int:
    """Fold constants into convolutions and dense layers on floats, one operator at a time."""
    count = 0
    for site in editor.sites("MUL", "ADD", "SUB"):
        count += _fold(editor, site)
    return count


def _fold(editor: Editor, site: Site) -> int:
    graph, name = site.graph, editor.name(site.operator)
    left, right = editor.inputs(site)
    pairs = [(left, right)] if name == "SUB" else [(left, right), (right, left)]
    for tensor, constant in pairs:
        value = editor.constant(graph, constant)
        maker = editor.producer(graph, tensor)
        if value is None or value.dtype != np.float32 or maker is None:
            continue
        axis = _CHANNEL_AXIS.get(editor.name(maker.operator))
        if axis is None or editor.only_consumer(graph, tensor) is None:
            continue
        made = _new_constants(editor, maker, name, value, axis)
        if made is None:
            continue
        inputs = editor.inputs(maker)
        maker.operator.inputs = np.array([inputs[0], *made], np.int32)
        fused = site.operator.builtinOptions.fusedActivationFunction
        maker.operator.builtinOptions.fusedActivationFunction = fused
        editor.set_outputs(maker, editor.outputs(site))
        editor.remove(site)
        return 1
    return 0


def _new_constants(
    editor: Editor, maker: Site, name: str, value: Array, axis: int
) -> tuple[int, int] | None:
    """The tensors of new weights and bias; None where they cannot be computed."""
    graph: Any = maker.graph
    inputs = editor.inputs(maker)
    weights = editor.constant(graph, inputs[1])
    options = maker.operator.builtinOptions
    if weights is None or weights.dtype != np.float32 or options.fusedActivationFunction:
        return None
    channels = weights.shape[axis]
    output = editor.shape(graph, editor.outputs(maker)[0])
    # one value, or one per channel in the last axis, and no broadcast that makes the output larger
    if value.size not in (1, channels) or value.ndim > len(output):
        return None
    if value.size > 1 and value.shape[-1] != channels:
        return None
    factors = np.broadcast_to(value.reshape(-1), (channels,)).astype(np.float64)
    has_bias = len(inputs) > 2 and inputs[2] >= 0
    bias = editor.constant(graph, inputs[2]) if has_bias else np.zeros(channels, np.float32)
    if bias is None:
        return None
    label = editor.tensor_name(graph, inputs[1])
    if name == "MUL":
        shape = [1] * weights.ndim
        shape[axis] = channels
        scaled = (weights.astype(np.float64) * factors.reshape(shape)).astype(np.float32)
        first = editor.add_constant(graph, scaled, f"{label}/scaled")
        moved = (bias.astype(np.float64) * factors).astype(np.float32)
    else:
        first = inputs[1]
        sign = -1.0 if name == "SUB" else 1.0
        moved = (bias.astype(np.float64) + sign * factors).astype(np.float32)
    return first, editor.add_constant(graph, moved, f"{label}/bias")
