"""Like ranges for all channels of an activation: factors move from one layer's weights to the next.

A channel of a layer's output divided by s and the next layer's weights for it multiplied by s leave
the network's function as it is, for linear outputs and ReLU (Nagel et al., "Data-free quantization
through weight equalization and bias correction", ICCV 2019). That paper balances the weights of
both layers; here the measured range of the activation is balanced with the next layer's weights,
because weights have a scale per channel and activations have not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor, Site
from edgepack.models.progress import Progress, silent
from edgepack.quantize.observe import Key, Observer
from edgepack.quantize.policy import WEIGHTED
from edgepack.quantize.ranges import TensorStats, collect
from edgepack.types import Array

_FIRST = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# Operators between two layers that treat every channel alike and keep factors.
_BETWEEN = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "RELU")
_SWEEPS = 3  # the factors of a layer depend on those of its neighbours; they settle quickly
_LARGEST = 2.0**16  # of a factor: beyond this a channel counts as dead
_LINEAR = (0, 1)  # schema.fbs ActivationFunctionType: NONE, RELU


@dataclass
class Pair:
    """Two layers in a row.

    Attributes:
        first, second: the operators.
        graph: they stand in.
        peak: largest absolute value of each channel in between, kept up to date.
    """

    first: Any
    second: Any
    graph: Any
    peak: Array


def equalize(
    data: bytes, samples: Sequence[tuple[Array, ...]], progress: Progress = silent
) -> bytes:
    """A float model that computes the same, with like ranges of the channels between two layers.

    Args:
        data: the model.
        samples: to measure the channels on.
        progress: told of each sample.
    """
    stats = collect(Observer(data), samples, "minmax", progress)
    editor = Editor(read_model(data))
    found = pairs(editor, stats)
    for _ in range(_SWEEPS):
        for pair in found:
            _balance(editor, pair)
    return write_model(editor.model) if found else data


def pairs(editor: Editor, stats: Mapping[Key, TensorStats]) -> list[Pair]:
    """Layers whose output goes to exactly one other layer, and through nothing that saturates."""
    found = []
    for g, graph in enumerate(editor.model.subgraphs):
        for operator in graph.operators:
            if editor.name(operator) not in _FIRST or not _alone(editor, graph, operator):
                continue
            if int(operator.builtinOptions.fusedActivationFunction) not in _LINEAR:
                continue
            tensor = int(operator.outputs[0])
            entry = stats.get((g, tensor))
            second = _next_layer(editor, graph, tensor)
            if second is None or entry is None or entry.channel_high is None:
                continue
            assert entry.channel_low is not None
            peak = np.maximum(np.abs(entry.channel_low), np.abs(entry.channel_high))
            if _takes_channels(editor, graph, second, len(peak)):
                found.append(Pair(operator, second, graph, peak.astype(np.float64)))
    return found


def _next_layer(editor: Editor, graph: Any, tensor: int) -> Any | None:
    while True:
        site = editor.only_consumer(graph, tensor)
        if site is None:
            return None
        name = editor.name(site.operator)
        if name in _FIRST:
            fits = int(site.operator.inputs[0]) == tensor and _alone(editor, graph, site.operator)
            return site.operator if fits else None
        if name not in _BETWEEN or not _keeps_factors(editor, site):
            return None
        tensor = int(site.operator.outputs[0])


def _keeps_factors(editor: Editor, site: Site) -> bool:
    options = site.operator.builtinOptions
    fused = int(getattr(options, "fusedActivationFunction", 0) or 0)
    if editor.name(site.operator) == "PAD":
        paddings = editor.constant(site.graph, int(site.operator.inputs[1]))
        return paddings is not None and not paddings.reshape(-1, 2)[-1].any()
    return fused in _LINEAR


def _alone(editor: Editor, graph: Any, operator: Any) -> bool:
    """Whether weights and bias are constants that no other operator reads."""
    slots = WEIGHTED[editor.name(operator)]
    inputs = [int(i) for i in operator.inputs]
    for slot in (slots.weights, slots.bias):
        if slot >= len(inputs) or inputs[slot] < 0:
            continue
        if editor.constant(graph, inputs[slot]) is None:
            return False
        if len(editor.consumers(graph, inputs[slot])) != 1:
            return False
    return True


def _takes_channels(editor: Editor, graph: Any, second: Any, channels: int) -> bool:
    """Whether the second layer's weights have one slice for each channel."""
    weights = editor.constant(graph, int(second.inputs[1]))
    assert weights is not None
    if editor.name(second) == "DEPTHWISE_CONV_2D":
        return int(second.builtinOptions.depthMultiplier) == 1 and weights.shape[3] == channels
    return bool(weights.shape[-1] == channels)


def _balance(editor: Editor, pair: Pair) -> None:
    weights = editor.constant(pair.graph, int(pair.second.inputs[1]))
    assert weights is not None
    live = pair.peak > 0
    factors = np.ones(len(pair.peak))
    if editor.name(pair.second) == "DEPTHWISE_CONV_2D":
        # a scale for each channel's weights takes any factor: only the activation counts
        factors[live] = pair.peak[live] / pair.peak.max()
    else:
        rows = np.abs(weights.astype(np.float64)).reshape(len(weights), -1, weights.shape[-1])
        largest = rows.max(axis=(1, 2), keepdims=True)
        share = (rows / np.where(largest > 0, largest, 1.0)).max(axis=(0, 1))
        live &= share > 0
        if not live.any():
            return
        factors[live] = np.sqrt(pair.peak[live] / share[live])
        factors[live] /= np.exp(np.log(factors[live]).mean())
    factors = np.clip(factors, 1 / _LARGEST, _LARGEST)
    _scale_outputs(editor, pair, 1 / factors)
    _store(editor, pair.graph, pair.second, 1, weights * factors)
    pair.peak = pair.peak / factors


def _scale_outputs(editor: Editor, pair: Pair, factors: Array) -> None:
    name = editor.name(pair.first)
    slots = WEIGHTED[name]
    inputs = [int(i) for i in pair.first.inputs]
    weights = editor.constant(pair.graph, inputs[slots.weights])
    assert weights is not None
    shape = [1] * weights.ndim
    shape[slots.axis] = -1
    _store(editor, pair.graph, pair.first, slots.weights, weights * factors.reshape(shape))
    if slots.bias < len(inputs) and inputs[slots.bias] >= 0:
        bias = editor.constant(pair.graph, inputs[slots.bias])
        assert bias is not None
        _store(editor, pair.graph, pair.first, slots.bias, bias * factors.reshape(bias.shape))


def _store(editor: Editor, graph: Any, operator: Any, slot: int, value: Array) -> None:
    raw = graph.tensors[int(operator.inputs[slot])]
    raw.buffer = editor.add_buffer(value.astype(np.float32))
