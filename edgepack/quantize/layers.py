"""Operators with constant weights as quantization sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import UnsupportedError
from edgepack.quantize.books import to_book
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
from edgepack.quantize.policy import (
    INT2_OPS,
    INT4_OPS,
    INT4_PER_TENSOR,
    SIGN_SCALE,
    WEIGHTED,
    stores_signs,
)
from edgepack.quantize.schemes import OpScheme
from edgepack.types import Array, DType

# A bias beyond this leaves no room for the sum of 32 bits; with int16 activations sums have 48,
# but multipliers below 2^-32 are 0, which would drop it.
_BIAS_BITS = {DType.INT8: 30, DType.INT16: 34}
SIGN_UNIT = 2  # weights of layers that store signs
_SIGN_RATIO = 128.0  # a unit of their accumulators in units of the output: beyond its limits
_SIGN_LIMIT = 1 << 22  # of their biases: half of what an int32 holds of them before it is scaled
_SIGN_INPUTS = _SIGN_LIMIT // (SIGN_UNIT * 255)  # of a filter: the other half


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
        magnitudes: of a layer that stores signs, the factors of its weights, as `scales`; what it
            stores as weights and scales only makes sure that every output is -127 or 127.
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
    magnitudes: Array | None = None

    @property
    def is_rounded(self) -> bool:
        """Whether every weight is rounded by itself, and stands for itself times its scale."""
        return self.magnitudes is None and not self.grid.book

    def nearest(self) -> Array:
        """The weights as stored, each rounded to the nearest, or to the nearest vector."""
        if self.is_rounded:
            return store_weights(self.weights, self.scales, self.grid, self.axis)
        factors = self.scales if self.magnitudes is None else self.magnitudes
        scaled = self.weights / along(factors, self.weights.ndim, self.axis)
        book = self.grid.book
        units = to_book(scaled, book) if book else self.grid.nearest(scaled)
        return np.asarray(units * (1 if self.magnitudes is None else SIGN_UNIT), np.int8)

    def sign_bias(self) -> Array:
        """Of a layer that stores signs: int32 [channels], odd, as its weights are even.

        So no accumulator is 0, and a sum of 0 or more is a sign of 1.
        """
        assert self.magnitudes is not None
        channels = self.weights.shape[WEIGHTED[self.op].axis]
        bias = np.zeros(channels) if self.bias is None else self.bias.astype(np.float64)
        units = np.floor(bias / (self.magnitudes.astype(np.float64) * self.source.scale))
        limit = _SIGN_LIMIT // SIGN_UNIT
        return np.asarray(SIGN_UNIT * np.clip(units, -limit, limit) + 1, np.int32)

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
    """Every quantized operator with constant weights that are rounded singly, in order."""
    editor = Editor(model)
    for key, scheme in plan.schemes.items():
        found = None if scheme.is_float else layer_at(editor, plan, key)
        if found is not None and found.is_rounded:
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
    if stores_signs(op, plan.schemes[key]):
        if weights[0].size > _SIGN_INPUTS:
            raise UnsupportedError(
                f"{op} {name!r} has {weights[0].size} inputs of an output, whose sum would "
                "overflow",
                allowed=f"up to {_SIGN_INPUTS} with {plan.schemes[key].name}",
                next_step=f"give it the scheme {plan.schemes[key].name.removesuffix('-sign')}",
            )
        magnitudes = weight_scales(weights, grid, axis)
        scales = np.full(1, _SIGN_RATIO * SIGN_SCALE / source.scale, np.float32)
        return Layer(key, op, name, weights, bias, scales, grid, axis, source, magnitudes)
    least = bias_step(source.dtype) / source.scale
    floor = None if bias is None else _bias_floor(bias, least, axis, weights.shape)
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


def bias_step(activation: DType) -> float:
    """The least scale, as a share of the bias over the input's scale, for which the bias fits."""
    return float(2.0 ** -_BIAS_BITS[activation])


def _bias_floor(bias: Array, step: float, axis: int | None, shape: tuple[int, ...]) -> Array:
    """The smallest weight scales for which a bias fits its accumulator."""
    least = np.abs(bias.astype(np.float64)).reshape(-1) * step
    if axis is None or least.size != shape[axis]:
        return np.array([least.max()], np.float32)
    return least.astype(np.float32)
