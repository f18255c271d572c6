"""Multiply-accumulates and parameters of a Keras network, as it is or without some units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edgepack.compress.channels import DEPTHWISE, MAKERS, Channels, kept, layer_weights, trace


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one inference, and weights, biases and normalization included.

    Counted are dense, convolution and depthwise layers. A layer whose output has an open axis
    counts no multiply-accumulates.
    """

    macs: int
    parameters: int

    def of(self, what: str) -> int:
        """`macs` or `parameters`."""
        return self.macs if what == "macs" else self.parameters


def cost(found: Channels, gone: Iterable[int] = ()) -> Cost:
    """The cost of a network without units.

    Args:
        found: its channels (`channels.trace`).
        gone: the units that it loses.
    """
    lost = frozenset(gone)
    macs = parameters = 0
    seen: set[str] = set()
    for step in found.steps:
        layer, kind = step.layer, type(step.layer).__name__
        out = len(kept(found, step.output, lost))
        inputs = len(kept(found, step.inputs[0], lost)) if step.inputs else 0
        kernel = next((w for w in layer_weights(layer) if w.name == "kernel"), None)
        count = sum(_size(weight) for weight in layer_weights(layer))
        if kind in MAKERS and kernel is not None:
            groups = getattr(layer, "groups", 1)
            window = _size(kernel) * groups // (len(step.inputs[0]) * len(step.output))
            positions = step.positions
            macs += window * inputs * out // groups * positions
            count = window * inputs * out // groups + (out if len(layer.weights) > 1 else 0)
        elif kind in DEPTHWISE and layer.weights:
            window = _size(layer.weights[0]) // len(step.output)
            macs += window * out * step.positions
            count = window * out + (out if len(layer.weights) > 1 else 0)
        elif kind in ("BatchNormalization", "PReLU"):
            count = count // len(step.output) * out
        if layer.name not in seen:
            seen.add(layer.name)
            parameters += count
    return Cost(macs, parameters)


def model_cost(model: Any) -> Cost:
    """The cost of a network as it is."""
    return cost(trace(model))


def _size(weight: Any) -> int:
    size = 1
    for axis in weight.shape:
        size *= int(axis)
    return size
