"""Operators with constant weights as quantization sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor
from edgepack.quantize.params import (
    INT4_WEIGHTS,
    INT8_WEIGHTS,
    QParams,
    WeightGrid,
    along,
    store_weights,
    weight_scales,
)
from edgepack.quantize.plan import OpKey, Plan, weighted_slots
from edgepack.quantize.policy import INT2_OPS, INT4_OPS, INT4_PER_TENSOR, WEIGHTED
from edgepack.quantize.schemes import OpScheme
from edgepack.types import Array

_ACCUMULATOR_BITS = 30  # a bias beyond this leaves no room for the sum


@dataclass(frozen=True)
class Layer:
    """A quantized operator with constant weights.

    Attributes:
        key: subgraph and position of the operator in the float model.
        op: TFLite's name.
        name: of its output tensor.
        weights, bias: in float; bias None where it has none.
        scales: of the weights, one or one per output channel.
        grid: of the stored weights.
        axis: of the output channels where each has a scale, else None.
        source: how its input is stored.
    """

    key: OpKey
    op: str
    name: str
    weights: Array
    bias: Array | None
    scales: Array
    grid: WeightGrid
    axis: int | None
    source: QParams

    def nearest(self) -> Array:
        """The weights as stored, each rounded to the nearest."""
        return store_weights(self.weights, self.scales, self.grid, self.axis)

    def real(self, stored: Array) -> Array:
        """Stored weights as real numbers, float32."""
        scales = along(self.scales, stored.ndim, self.axis)
        return np.asarray(stored.astype(np.float32) * scales, np.float32)


@dataclass(frozen=True)
class Adjustments:
    """What differs from rounding everything to the nearest, by operator of the float model.

    Attributes:
        stored: integers of weights.
        biases: float biases.
    """

    stored: dict[OpKey, Array] = field(default_factory=dict)
    biases: dict[OpKey, Array] = field(default_factory=dict)


def layers(model: Any, plan: Plan) -> Iterator[Layer]:
    """Every quantized operator with constant weights, in order."""
    editor = Editor(model)
    for key, scheme in plan.schemes.items():
        found = None if scheme.is_float else layer_at(editor, plan, key)
        if found is not None:
            yield found


def layer_at(editor: Editor, plan: Plan, key: OpKey) -> Layer | None:
    """The layer of an operator; None for one without constant weights."""
    g, position = key
    graph = editor.model.subgraphs[g]
    op, name = plan.names[key]
    inputs = [int(i) for i in graph.operators[position].inputs]
    used = weighted_slots(op, editor, graph, inputs)
    if not used or used[0] != WEIGHTED[op].weights:
        return None
    slots = WEIGHTED[op]
    weights = editor.constant(graph, inputs[slots.weights])
    source = plan.slots[g, position, slots.x]
    assert weights is not None and source is not None
    bias = editor.constant(graph, inputs[slots.bias]) if slots.bias < len(inputs) else None
    grid, axis = weight_form(op, plan.schemes[key])
    floor = _bias_floor(bias, source.scale, axis, weights.shape)
    scales = weight_scales(weights, grid, axis, floor)
    return Layer(key, op, name, weights, bias, scales, grid, axis, source)


def weight_form(op: str, scheme: OpScheme) -> tuple[WeightGrid, int | None]:
    """The grid of an operator's weights, and the axis of their scales (None for one scale)."""
    grid = scheme.weights
    known = INT4_OPS if grid == INT4_WEIGHTS else INT2_OPS
    if grid.is_coarse and op not in known:
        grid = INT8_WEIGHTS
    per_channel = scheme.per_channel and not (grid == INT4_WEIGHTS and op in INT4_PER_TENSOR)
    return grid, WEIGHTED[op].axis if per_channel else None


def _bias_floor(
    bias: Array | None, source: float, axis: int | None, shape: tuple[int, ...]
) -> Array | None:
    """The smallest weight scales for which a bias fits its accumulator; None without a bias."""
    if bias is None:
        return None
    least = np.abs(bias.astype(np.float64)).reshape(-1) / (source * 2.0**_ACCUMULATOR_BITS)
    if axis is None or least.size != shape[axis]:
        return np.array([least.max()], np.float32)
    return least.astype(np.float32)
