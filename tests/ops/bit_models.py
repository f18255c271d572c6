"""Models with weights of one bit, as an exporter writes them: int8 layers in TFLite's schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgepack.ops.shared.kernel import Isa
from edgepack.ops.shared.window import window
from edgepack.types import Array
from tests.c_batch import Case
from tests.tflite_builder import ModelBuilder, spec

Form = Literal["binary", "ternary", "codes"]
BIT_SCALE = 1 / 127  # of an activation of one bit: -127 is -1
_RATIO = 128.0  # a unit of the accumulator of a bit, in units of the output


@dataclass(frozen=True)
class Layer:
    """A layer of a chain.

    Args:
        kind: conv, dense, pool or flatten.
        filters: of conv and dense.
        bits: its output is the sign of the sum.
        trits: then its output is the nearest of -1, 0 and 1.
        unit: magnitude of the weights as stored; of bits at least 2, so that no sum is 0.
    """

    kind: str
    filters: int = 0
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    dilation: int = 1
    padding: str = "SAME"
    form: Form = "binary"
    bits: bool = True
    trits: bool = False
    unit: int = 2
    activation: str = "NONE"
    bias: bool = True
    per_channel: bool = True


def weights_of(rng: np.random.Generator, shape: tuple[int, ...], form: Form, unit: int) -> Array:
    """+-unit; ternary ones with zeros; of codes, groups of eight out of 32."""
    signs = rng.choice(np.array([-1, 1]), shape)
    if form == "ternary":
        signs *= rng.integers(0, 2, shape)
    if form == "codes":
        book = rng.choice(np.array([-1, 1]), (32, 8))
        picked = book[rng.integers(0, 32, int(np.prod(shape)) // 8)]
        signs = picked.reshape(shape)
    return (signs * unit).astype(np.int8)


class Chain:
    """A model in the making: int8 in, one layer after the other."""

    def __init__(self, shape: tuple[int, ...], seed: int, zero_point: int = -5) -> None:
        self.rng = np.random.default_rng(seed)
        self.model, self.first = ModelBuilder(), shape
        self.shape, self.scale, self.zero = shape, 0.04, zero_point
        self.tensor = self.model.input("x", shape, "INT8", self.scale, zero_point)

    def add(self, layer: Layer) -> None:
        if layer.kind == "flatten":
            self._flatten()
        elif layer.kind == "pool":
            self._pool(layer)
        else:
            self._weighted(layer)

    def weights(self, layer: Layer, shape: tuple[int, ...]) -> Array:
        """The weights of a layer as stored."""
        return weights_of(self.rng, shape, layer.form, layer.unit)

    def _flatten(self) -> None:
        made = (self.shape[0], int(np.prod(self.shape[1:])))
        wanted = self.model.const(np.array(made, np.int32), "INT32")
        self._op("RESHAPE", [self.tensor, wanted], made, {})

    def _pool(self, layer: Layer) -> None:
        sides = [
            window(s, k, layer.stride, 1, layer.padding).out
            for s, k in zip(self.shape[1:3], layer.kernel, strict=True)
        ]
        options = {
            "padding": layer.padding,
            "stride_h": layer.stride,
            "stride_w": layer.stride,
            "filter_height": layer.kernel[0],
            "filter_width": layer.kernel[1],
            "fused_activation_function": layer.activation,
        }
        shape = (self.shape[0], *sides, self.shape[3])
        self._op("MAX_POOL_2D", [self.tensor], shape, options)

    def _weighted(self, layer: Layer) -> None:
        n, conv = layer.filters, layer.kind == "conv"
        w_shape = (n, *layer.kernel, self.shape[-1]) if conv else (n, self.shape[-1])
        weights = self.weights(layer, w_shape)
        scale, out_scale, zero = self._scales(layer, int(np.prod(w_shape[1:])))
        handles: list[int | None] = [self.tensor]
        handles.append(self.model.const(weights, "INT8", scale, axis=0))
        if layer.bias:
            reach = int(layer.unit * self._magnitude() * w_shape[-1] ** 0.5)
            bias = self.rng.integers(-reach, reach, n, endpoint=True)
            if layer.bits:
                bias = layer.unit * bias + 1
            handles.append(self.model.const(bias, "INT32", self.scale * np.asarray(scale)))
        options: dict[str, Any] = {
            "fused_activation_function": "RELU_N1_TO_1" if layer.bits else layer.activation
        }
        if not conv:
            self._op("FULLY_CONNECTED", handles, (*self.shape[:-1], n), options, out_scale, zero)
            return
        sides = [
            window(s, k, layer.stride, layer.dilation, layer.padding).out
            for s, k in zip(self.shape[1:3], layer.kernel, strict=True)
        ]
        options |= {
            "padding": layer.padding,
            "stride_h": layer.stride,
            "stride_w": layer.stride,
            "dilation_h_factor": layer.dilation,
            "dilation_w_factor": layer.dilation,
        }
        self._op("CONV_2D", handles, (self.shape[0], *sides, n), options, out_scale, zero)

    def _scales(self, layer: Layer, inputs: int) -> tuple[Any, float, int]:
        """Of weights and output, and the output's zero point."""
        if layer.bits and layer.trits:
            return 1 / (layer.unit * self._magnitude() * inputs**0.5) / self.scale, 1.0, 0
        if layer.bits:
            return _RATIO * BIT_SCALE / self.scale, BIT_SCALE, 0
        ratio = 60 / (layer.unit * self._magnitude() * inputs**0.5)
        if not layer.per_channel:
            return ratio * 0.1 / self.scale, 0.1, 3
        factors = self.rng.uniform(0.5, 1.0, layer.filters)
        return [float(f) for f in ratio * 0.1 / self.scale * factors], 0.1, 3

    def _magnitude(self) -> int:
        """Of inputs as stored, on average."""
        return {BIT_SCALE: 127, 1.0: 1}.get(self.scale, 64)

    def _op(
        self,
        op: str,
        inputs: list[int | None],
        shape: tuple[int, ...],
        options: dict[str, Any],
        scale: float | None = None,
        zero: int | None = None,
    ) -> None:
        self.scale = self.scale if scale is None else scale
        self.zero = self.zero if zero is None else zero
        made = spec(shape, "INT8", self.scale, self.zero)
        self.tensor, self.shape = self.model.op(op, inputs, [made], options)[0], shape

    def case(self, label: str, samples: int = 3, isa: Isa | None = None) -> Case:
        """The model with random inputs and those of the extreme values."""
        self.model.output(self.tensor)
        data = [[self.rng.integers(-128, 128, self.first).astype(np.int8)] for _ in range(samples)]
        data += [[np.full(self.first, value, np.int8)] for value in (-128, 127)]
        return Case(label, self.model.build(), data, isa or Isa())


def chain(shape: tuple[int, ...], layers: Sequence[Layer], seed: int = 1, label: str = "") -> Case:
    """A model of layers in a row."""
    made = Chain(shape, seed)
    for layer in layers:
        made.add(layer)
    return made.case(label or f"bits {shape} {len(layers)} layers, seed {seed}")
