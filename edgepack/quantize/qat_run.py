"""One pass through the simulation, operator by operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.quantize import qat_ops
from edgepack.quantize.layers import bias_step, weight_form
from edgepack.quantize.params import QParams
from edgepack.quantize.policy import WEIGHTED, Kind, kind_of
from edgepack.quantize.qat_exact import has_reference, reference_units
from edgepack.quantize.qat_graph import Node, Simulation
from edgepack.quantize.qat_numbers import (
    Grid,
    Value,
    grid_of,
    half_away,
    quantize,
    reduce,
    requantize,
    straight_through,
    weight_grid,
)
from edgepack.types import Array, DType


@dataclass
class Run:
    """One pass over the operators."""

    owner: Simulation
    grids: Mapping[int, Grid]
    watch: dict[int, Any] | None

    def __post_init__(self) -> None:
        self.values: dict[int, Value] = {}

    def placed(self, tensor: int, value: Value) -> Value:
        """A value on the grid of its tensor."""
        root = self.owner.grid_for(tensor)
        if root is None or not self.grids:
            return Value(value.real)
        if self.watch is not None and root not in self.watch:
            self.watch[root] = value.real
        return quantize(value, self.grids[root])

    def read(self, node: Node, slot: int) -> Value:
        """What an operator reads, converted where its plan says so."""
        tensor, constant = node.inputs[slot], node.constants[slot]
        params = self.owner.slot(node, slot)
        if constant is not None:
            return self._constant(constant, params)
        value = self.values[tensor]
        if not self.grids:
            return value
        if params is None:
            return Value(value.real)
        if self.owner.same_as_tensor(node, slot):
            return value
        return quantize(value, self._slot_grid(node, tensor, params))

    def source(self, node: Node, slot: int) -> Grid:
        """The grid on which an operator reads an input."""
        params = self.owner.slot(node, slot)
        assert params is not None
        root = self.owner.grid_for(node.inputs[slot])
        if root is not None and self.owner.same_as_tensor(node, slot):
            return self.grids[root]
        return self._slot_grid(node, node.inputs[slot], params)

    def _slot_grid(self, node: Node, tensor: int, params: QParams) -> Grid:
        """The grid of a conversion; as the planner makes it."""
        import tensorflow as tf

        out = self.owner.grid_for(node.output)
        if kind_of(node.op) is Kind.SAME and out is not None:
            return self.grids[out]
        root = self.owner.grid_for(tensor)
        if root is None or not self.owner.ranges[root].learned:
            zero = tf.constant(float(params.zero_point))
            return Grid(params.dtype, tf.constant(np.float32(params.scale)), zero)
        grid = self.grids[root]
        low, high = (units * grid.scale for units in grid.limits())
        return grid_of(-high if grid.dtype is DType.INT16 else low, high, params.dtype)

    def _constant(self, value: Array, params: QParams | None) -> Value:
        import tensorflow as tf

        if params is None or not self.grids:
            return Value(tf.constant(value))
        scale = tf.constant(np.float32(params.scale))
        grid = Grid(params.dtype, scale, tf.constant(float(params.zero_point)))
        units = params.store(value).astype(np.float32) - params.zero_point
        return Value(tf.constant(units), grid)

    def node(self, node: Node) -> Value:
        """The output of an operator."""
        import tensorflow as tf

        if node.op in qat_ops.WEIGHTED:
            return self._weighted(node)
        if node.op in qat_ops.MOVES:
            return self._moved(node)
        low, high = qat_ops.clamps(node.options, node.name)
        floats = [i for i in range(len(node.inputs)) if self._is_data(node, i)]
        read = [self.read(node, i) for i in floats]
        if node.op == "AVERAGE_POOL_2D" and read[0].grid is not None:
            return self._average_pool(node, read[0], low, high)
        root = self.owner.grid_for(node.output)
        if node.op in ("MEAN", "SUM") and read[0].grid is not None and root is not None:
            return self._reduced(node, read[0], root)
        out = qat_ops.REAL[node.op](
            [v.real for v in read], node.options, node.constants, node.shape
        )
        out = qat_ops.clamp(out, low, high)
        grid = None if root is None else self.grids.get(root)
        if root is None or grid is None or not has_reference(node, read, grid):
            return self.placed(node.output, Value(out))
        if self.watch is not None:
            self.watch.setdefault(root, out)
        smooth = tf.clip_by_value(out / grid.scale, *grid.limits())
        return Value(straight_through(smooth, reference_units(node, read, grid)), grid)

    def _is_data(self, node: Node, slot: int) -> bool:
        constant = node.constants[slot]
        return constant is None or constant.dtype == np.float32

    def _moved(self, node: Node) -> Value:
        floats = [i for i in range(len(node.inputs)) if self._is_data(node, i)]
        read = [self.read(node, i) for i in floats]
        low, high = qat_ops.clamps(node.options, node.name)
        units = qat_ops.MOVES[node.op](
            [v.units for v in read], node.options, node.constants, node.shape
        )
        grid = read[0].grid
        if low is None and high is None and grid is not None:
            return Value(units, grid)
        value = Value(qat_ops.clamp(Value(units, grid).real, low, high))
        return self.placed(node.output, value)

    def _reduced(self, node: Node, x: Value, root: int) -> Value:
        assert x.grid is not None
        axes = node.constants[1]
        assert axes is not None  # `batch_trouble` saw to that
        total = qat_ops.REAL["SUM"]([x.units], node.options, node.constants, node.shape)
        shape = self.owner.editor.shape(self.owner.graph, node.inputs[0])
        count = int(np.prod([shape[int(axis)] for axis in axes.reshape(-1)]))
        if self.watch is not None:
            scale = x.grid.scale / (count if node.op == "MEAN" else 1)
            self.watch.setdefault(root, total * scale)
        return reduce(total, count if node.op == "MEAN" else 1, x.grid, self.grids[root])

    def _average_pool(self, node: Node, x: Value, low: float | None, high: float | None) -> Value:
        """The kernel takes the mean of stored values, and rounds those halves away from zero."""
        assert x.grid is not None
        smooth = qat_ops.average_pool(x.stored, node.options)
        units = straight_through(smooth, half_away(smooth)) - x.grid.zero
        if low is None and high is None:
            return Value(units, x.grid)
        real = qat_ops.clamp(units * x.grid.scale, low, high)
        return quantize(Value(real), x.grid)

    def _weighted(self, node: Node) -> Value:
        import tensorflow as tf

        slots, function = WEIGHTED[node.op], qat_ops.WEIGHTED[node.op]
        low, high = qat_ops.clamps(node.options, node.name)
        weights = self.owner.weights[node.inputs[slots.weights]]
        has_bias = slots.bias < len(node.inputs) and node.inputs[slots.bias] in self.owner.weights
        bias = self.owner.weights[node.inputs[slots.bias]] if has_bias else None
        x = self.read(node, slots.x)
        key = (0, node.position)
        if x.grid is None or key not in self.owner.clips:
            out = function(x.real, weights, node.options)
            out = out if bias is None else out + bias
            return self.placed(node.output, Value(qat_ops.clamp(out, low, high)))
        assert node.scheme is not None
        form, axis = weight_form(node.op, node.scheme)
        least = None
        if bias is not None:
            wide = tf.cast(tf.abs(bias), tf.float64), tf.cast(x.grid.scale, tf.float64)
            least = tf.cast(wide[0] * (bias_step(x.grid.dtype) / wide[1]), tf.float32)
        units, scale = weight_grid(weights, self.owner.clip(key), form, axis, least)
        if key in self.owner.books:
            units = self.owner.books[key].units(weights / tf.stop_gradient(scale))
        scales = x.grid.scale * tf.reshape(scale, (-1,))
        total = function(x.units, units, node.options)
        if key in self.owner.signs:
            training = self.watch is not None
            found = self.owner.signs[key].units(total, training=training)
            return Value(found, self.grids[self.owner.class_of(node.output)])
        if x.grid.dtype is DType.INT16:
            # sums beyond 2^24: whole numbers again in float64, gradients stay in float32
            left, right = (tf.stop_gradient(tf.cast(v, tf.float64)) for v in (x.units, units))
            exact = function(left, right, node.options)
            total = tf.cast(total, tf.float64)
            total = straight_through(total, exact)
        if bias is not None:
            # in float64 as it is stored: int16 activations have biases beyond 2^24
            smooth = tf.cast(bias / scales, total.dtype)
            exact = tf.round(tf.cast(bias, tf.float64) / tf.cast(scales, tf.float64))
            total = total + straight_through(smooth, tf.cast(exact, total.dtype))
        root = self.owner.grid_for(node.output)
        if node.has_few_outputs:
            low, high = -1.0, 1.0
        if root is None:
            return Value(qat_ops.clamp(tf.cast(total, tf.float32) * scales, low, high))
        if self.watch is not None:
            real = tf.cast(total, tf.float32) * scales
            self.watch.setdefault(root, qat_ops.clamp(real, low, high))
        return requantize(
            total, x.grid.scale, tf.reshape(scale, (-1,)), self.grids[root], low, high
        )
