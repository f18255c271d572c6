"""Multiply-accumulates and parameters of a Keras network, as it is or without some units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edgepack.compress.channels import (
    DEPTHWISE,
    MAKERS,
    Channels,
    Step,
    kept,
    layer_weights,
    trace,
)


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
    parameters = 0
    seen: set[str] = set()
    for step in found.steps:
        if step.layer.name not in seen:
            seen.add(step.layer.name)
            parameters += _parameters(found, step, lost)
    return Cost(sum(step_macs(found, lost)), parameters)


def step_macs(found: Channels, lost: frozenset[int]) -> list[int]:
    """The multiply-accumulates of every step without units, 0 where none are counted."""
    counts = []
    for step in found.steps:
        kind = type(step.layer).__name__
        weighted = kind in MAKERS or kind in DEPTHWISE
        counts.append(_kernel(found, step, lost) * step.positions if weighted else 0)
    return counts


def _kernel(found: Channels, step: Step, lost: frozenset[int]) -> int:
    """The weights of a layer that stay, biases left out."""
    layer = step.layer
    out = len(kept(found, step.output, lost))
    if type(layer).__name__ in DEPTHWISE:
        return _size(layer.weights[0]) // len(step.output) * out if layer.weights else 0
    kernel = next((w for w in layer_weights(layer) if w.name == "kernel"), None)
    if kernel is None:
        return 0
    inputs, groups = len(kept(found, step.inputs[0], lost)), getattr(layer, "groups", 1)
    window = _size(kernel) * groups // (len(step.inputs[0]) * len(step.output))
    return window * inputs * out // groups


def _parameters(found: Channels, step: Step, lost: frozenset[int]) -> int:
    """All weights of a layer that stay."""
    layer, kind = step.layer, type(step.layer).__name__
    out = len(kept(found, step.output, lost))
    count = sum(_size(weight) for weight in layer_weights(layer))
    if count and (kind in MAKERS or kind in DEPTHWISE):
        return _kernel(found, step, lost) + (out if len(layer.weights) > 1 else 0)
    if kind in ("BatchNormalization", "PReLU"):
        return count // len(step.output) * out
    return count


def model_cost(model: Any) -> Cost:
    """The cost of a network as it is."""
    return cost(trace(model))


def _size(weight: Any) -> int:
    size = 1
    for axis in weight.shape:
        size *= int(axis)
    return size
