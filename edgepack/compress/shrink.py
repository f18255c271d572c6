"""A smaller network without some units: new layers with fewer channels, and the weights they keep.

`mask` zeroes the same units in the large network instead: both compute the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgepack.compress.channels import (
    DEPTHWISE,
    MAKERS,
    Channels,
    Step,
    functional,
    kept,
    layer_weights,
)
from edgepack.types import Array

_COUNTS = {"Dense": "units"}  # the key of a layer's configuration; `filters` elsewhere


def shrink(model: Any, found: Channels, gone: Iterable[int]) -> Any:
    """The network without units; all layers and weights are new ones.

    Args:
        model: a Keras model.
        found: its channels (`channels.trace`).
        gone: units, none of `found.fixed`.
    """
    import keras

    lost = frozenset(gone)
    steps = {step.layer.name: step for step in found.steps}

    def smaller(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in steps:
            config = {**config, **_resized(found, steps[layer.name], lost)}
        return layer.__class__.from_config(config)

    whole = functional(model)
    result = keras.models.clone_model(whole, clone_function=smaller)
    for layer in whole.layers:
        if layer_weights(layer):
            values = [np.asarray(weight) for weight in layer.weights]
            if layer.name in steps:
                values = _sliced(found, steps[layer.name], values, lost)
            result.get_layer(layer.name).set_weights(values)
    return result


def mask(found: Channels, gone: Iterable[int]) -> None:
    """Zero units in place: what makes them, their normalization, and what reads them."""
    lost = frozenset(gone)
    done: set[str] = set()
    for step in found.steps:
        weighted = layer_weights(step.layer) and _has_channels(step.layer)
        if step.layer.name in done or not weighted:
            continue
        done.add(step.layer.name)
        values = [np.asarray(weight).copy() for weight in step.layer.weights]
        channel_masks = _masks(found, step, lost)
        for weight, value in zip(step.layer.weights, values, strict=True):
            for axis, stays in channel_masks(weight.name, value.ndim):
                shape = [1] * value.ndim
                shape[axis] = len(stays)
                # a variance stays: that of a removed channel does not matter, but 0 / 0 would
                if weight.name != "moving_variance":
                    value *= stays.reshape(shape)
            weight.assign(value)


def _has_channels(layer: Any) -> bool:
    """Whether a layer has weights that belong to channels; those of grouped ones always stay."""
    kind = type(layer).__name__
    if kind in MAKERS:
        return getattr(layer, "groups", 1) == 1
    return kind in DEPTHWISE or kind in ("BatchNormalization", "PReLU")


def _masks(found: Channels, step: Step, lost: frozenset[int]) -> Any:
    """A function of a weight's name and rank: its axes, and what stays along each."""
    kind = type(step.layer).__name__
    out = np.zeros(len(step.output), np.float32)
    out[kept(found, step.output, lost)] = 1.0
    inputs = np.zeros(len(step.inputs[0]), np.float32)
    inputs[kept(found, step.inputs[0], lost)] = 1.0

    def axes(name: str, rank: int) -> list[tuple[int, Array]]:
        if kind in MAKERS and name == "kernel":
            made, read = MAKERS[kind]
            return [(made % rank, out), (read % rank, inputs)]
        if kind in DEPTHWISE and rank > 2:
            return [(rank - 2, inputs)]
        return [(rank - 1, out)] if rank else []

    return axes


def _resized(found: Channels, step: Step, lost: frozenset[int]) -> dict[str, Any]:
    """What changes in a layer's configuration."""
    kind = type(step.layer).__name__
    count = len(kept(found, step.output, lost))
    if count == len(step.output):
        return {}
    if kind in MAKERS:
        return {_COUNTS.get(kind, "filters"): count}
    if kind == "Reshape":
        shape = list(step.layer.target_shape)
        if shape[-1] != -1:
            shape[-1] = count
        return {"target_shape": tuple(shape)}
    return {}


def _sliced(found: Channels, step: Step, values: list[Array], lost: frozenset[int]) -> list[Array]:
    """The weights of a layer without what belongs to lost units."""
    kind = type(step.layer).__name__
    if not _has_channels(step.layer):
        return values
    out, inputs = kept(found, step.output, lost), kept(found, step.inputs[0], lost)
    result = []
    for weight, value in zip(step.layer.weights, values, strict=True):
        rank = value.ndim
        if kind in MAKERS and weight.name == "kernel":
            made, read = MAKERS[kind]
            value = np.take(np.take(value, out, made % rank), inputs, read % rank)
        elif kind in DEPTHWISE and rank > 2:
            value = np.take(value, inputs, rank - 2)
        elif rank:
            value = np.take(value, out, rank - 1)
        result.append(value)
    return result
