"""Which channels of a Keras network hang together: what one must remove with a filter or a neuron.

Every channel that a layer makes has a number. Layers that do not mix channels pass the numbers on,
an addition joins those of its inputs, a concatenation puts them in a row, a flattening repeats them
for every position. Channels that were joined are one unit: they stay or go together. A layer that
is not known here keeps all channels that it touches. Only the last axis is followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgepack.types import Array

# Channel by channel, whatever happens along the other axes.
# fmt: off
_PASS = frozenset((
    "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Relu", "Relu6", "Dropout",
    "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
    "Identity", "BatchNormalization", "Rescaling", "MaxPooling1D", "MaxPooling2D",
    "AveragePooling1D", "AveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "ZeroPadding1D", "ZeroPadding2D",
    "Cropping1D", "Cropping2D", "UpSampling1D", "UpSampling2D",
))
# fmt: on
_JOIN = frozenset(["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
# What makes new channels: the axis of its kernel that counts them, and the one of its inputs.
MAKERS = {"Dense": (-1, -2), "Conv1D": (-1, -2), "Conv2D": (-1, -2), "Conv2DTranspose": (-2, -1)}
DEPTHWISE = frozenset({"DepthwiseConv1D", "DepthwiseConv2D"})
# Activations that look at one channel at a time; softmax does not.
_MIXING = frozenset({"softmax", "log_softmax", "glu"})


@dataclass(frozen=True, eq=False)
class Step:
    """One layer in use: its inputs' and its output's channel numbers, and the output's positions.

    `positions` are the times that a kernel is applied (0 where an axis is open): the output's
    elements per channel, the input's for a transposed convolution.
    """

    layer: Any
    inputs: tuple[Array, ...]
    output: Array
    positions: int


@dataclass(eq=False)
class Channels:
    """The channels of a network.

    `unit(numbers)` tells which unit each channel belongs to; units in `fixed` cannot go.
    """

    steps: list[Step] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    locked: set[int] = field(default_factory=set)
    _units: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    def new(self, count: int) -> Array:
        """Numbers for channels that nothing is known of yet."""
        first = len(self.parent)
        self.parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def find(self, number: int) -> int:
        """The unit of one channel."""
        while self.parent[number] != number:
            self.parent[number] = self.parent[self.parent[number]]
            number = self.parent[number]
        return number

    def join(self, a: Array, b: Array) -> None:
        """Make channels pairwise one unit."""
        self._units.clear()
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            self.parent[self.find(x)] = self.find(y)

    def lock(self, numbers: Array) -> None:
        """Keep these channels."""
        self.locked.update(numbers.tolist())

    def unit(self, numbers: Array) -> Array:
        """The unit of each channel."""
        known = self._units.get(id(numbers))
        if known is None or known[0] is not numbers:
            units = np.array([self.find(n) for n in numbers.tolist()], dtype=np.int64)
            # asked for often, of the same arrays; kept with the array, whose id is then its own
            known = self._units[id(numbers)] = (numbers, units)
        return known[1]

    @property
    def fixed(self) -> set[int]:
        """Units that cannot go."""
        return {self.find(n) for n in self.locked}


@dataclass(frozen=True)
class Group:
    """Units that the same layers make: what is ranked against each other.

    `makers` are the names of those layers, `units` the units in the order of the first's channels.
    """

    makers: tuple[str, ...]
    units: tuple[int, ...]

    @property
    def name(self) -> str:
        """For reports."""
        return "+".join(self.makers)


def functional(model: Any) -> Any:
    """The model as a Functional one that shares its layers; a Sequential one becomes Functional."""
    import keras

    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return model


def nodes(model: Any) -> list[Any]:
    """The uses of layers, inputs left out, each after what it needs."""
    by_depth = functional(model)._nodes_by_depth
    ordered = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [node for node in ordered if type(node.operation).__name__ != "InputLayer"]


def trace(model: Any) -> Channels:
    """Follow the channels through a model.

    Args:
        model: a Keras model, Functional or Sequential.
    """
    model = functional(model)
    found, numbers = Channels(), {}
    for tensor in model.inputs:
        numbers[id(tensor)] = found.new(_width(tensor))
        found.lock(numbers[id(tensor)])
    made: dict[int, tuple[Array, Array]] = {}
    for node in nodes(model):
        inputs = tuple(numbers[id(tensor)] for tensor in node.input_tensors)
        outputs = [_output(found, node, inputs, tensor, made) for tensor in node.output_tensors]
        for tensor, output in zip(node.output_tensors, outputs, strict=True):
            numbers[id(tensor)] = output
        transposed = type(node.operation).__name__ == "Conv2DTranspose"
        counted = node.input_tensors if transposed else node.output_tensors
        shape = counted[0].shape[1:-1]
        positions = 0 if None in shape else int(np.prod(shape, dtype=np.int64))
        found.steps.append(Step(node.operation, inputs, outputs[0], positions))
    for tensor in model.outputs:
        found.lock(numbers[id(tensor)])
    return found


def groups(found: Channels) -> list[Group]:
    """The units that may go, by the layers that make them."""
    makers: dict[int, list[str]] = {}
    order: list[int] = []
    for step in found.steps:
        if type(step.layer).__name__ not in MAKERS:
            continue
        for unit in found.unit(step.output).tolist():
            if unit not in makers:
                order.append(unit)
            names = makers.setdefault(unit, [])
            if step.layer.name not in names:
                names.append(step.layer.name)
    fixed = found.fixed
    by_makers: dict[tuple[str, ...], list[int]] = {}
    for unit in order:
        if unit not in fixed:
            by_makers.setdefault(tuple(makers[unit]), []).append(unit)
    return [Group(names, tuple(units)) for names, units in by_makers.items()]


def kept(found: Channels, numbers: Array, gone: Iterable[int]) -> Array:
    """The positions of the channels that stay when units go."""
    removed = np.array(sorted(gone), dtype=np.int64)
    return np.flatnonzero(~np.isin(found.unit(numbers), removed))


def _width(tensor: Any) -> int:
    return int(tensor.shape[-1]) if len(tensor.shape) > 1 and tensor.shape[-1] is not None else 1


def _output(
    found: Channels,
    node: Any,
    inputs: tuple[Array, ...],
    tensor: Any,
    made: dict[int, tuple[Array, Array]],
) -> Array:
    """The numbers of an output's channels."""
    layer, width = node.operation, _width(tensor)
    kind, first = type(layer).__name__, node.input_tensors[0]
    if _by_channel(layer, tensor):
        if kind in MAKERS and len(inputs) == 1 and getattr(layer, "groups", 1) == 1:
            return _maker(found, layer, inputs[0], width, made)
        if kind in DEPTHWISE and len(inputs) == 1:
            repeated = np.repeat(inputs[0], width // len(inputs[0]))
            return _shared(found, layer, inputs[0], repeated, made)
        if kind in _PASS and len(inputs) == 1 and len(inputs[0]) == width:
            return _shared(found, layer, inputs[0], inputs[0], made)
        if kind in _JOIN and len(inputs) > 1 and all(len(n) == width for n in inputs):
            for other in inputs[1:]:
                found.join(other, inputs[0])
            return inputs[0]
        if kind == "Concatenate" and layer.axis in (-1, len(tensor.shape) - 1):
            return np.concatenate(inputs)
        if kind in ("Flatten", "Reshape") and _width(first) == width:
            return inputs[0]
        if (
            kind in ("Flatten", "Reshape")
            and len(tensor.shape) == 2
            and None not in first.shape[1:]
        ):
            return np.tile(inputs[0], width // len(inputs[0]))
    for numbers in inputs:
        found.lock(numbers)
    fresh = found.new(width)
    found.lock(fresh)
    return fresh


def layer_weights(layer: Any) -> list[Any]:
    """The weights of a layer; an operation that is no layer has none."""
    return list(getattr(layer, "weights", ()))


def _by_channel(layer: Any, output: Any) -> bool:
    """Whether channels are the last axis, and the activation looks at one at a time."""
    kind, rank = type(layer).__name__, len(output.shape)
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return False
    if kind == "BatchNormalization" and layer.axis not in (-1, rank - 1):
        return False
    if kind == "PReLU" and layer.weights[0].shape[-1] != output.shape[-1]:
        return False
    return kind in MAKERS or not _mixes(layer)


def _maker(
    found: Channels, layer: Any, inputs: Array, width: int, made: dict[int, tuple[Array, Array]]
) -> Array:
    if id(layer) in made:  # used twice: one kernel, hence the same channels
        before, output = made[id(layer)]
        found.join(inputs, before)
        return output
    output = found.new(width)
    if _mixes(layer):
        found.lock(output)
    made[id(layer)] = (inputs, output)
    return output


def _mixes(layer: Any) -> bool:
    return getattr(getattr(layer, "activation", None), "__name__", "") in _MIXING


def _shared(
    found: Channels, layer: Any, inputs: Array, output: Array, made: dict[int, tuple[Array, Array]]
) -> Array:
    """A layer with weights for each channel that passes channels on."""
    if id(layer) in made:
        found.join(inputs, made[id(layer)][0])
    made[id(layer)] = (inputs, output)
    return output
