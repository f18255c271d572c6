"""Second moments of what layers read: for each filter's sum of products, its quadratic error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.compress.channels import functional, nodes
from edgepack.models.dataset import Samples
from edgepack.models.keras_run import as_keras
from edgepack.types import Array

_BATCH = 64
# Layers whose outputs are products of a matrix [inputs, filters], the kernel, with columns of
# their input.
MATRIX_LAYERS = frozenset({"Dense", "Conv1D", "Conv2D"})


@dataclass(frozen=True, eq=False)
class Use:
    """A layer that is a matrix product, and all its uses in the network."""

    layer: Any
    nodes: tuple[Any, ...]


def matrix_layers(model: Any) -> list[Use]:
    """Dense and convolution layers without groups, in order; channels come last."""
    found: dict[int, list[Any]] = {}
    for node in nodes(model):
        layer = node.operation
        if (
            type(layer).__name__ in MATRIX_LAYERS
            and getattr(layer, "groups", 1) == 1
            and getattr(layer, "data_format", "channels_last") == "channels_last"
        ):
            found.setdefault(id(layer), []).append(node)
    return [Use(uses[0].operation, tuple(uses)) for uses in found.values()]


def as_matrix(kernel: Array) -> Array:
    """A kernel [..., in, out] as [inputs of a product, filters]."""
    return kernel.reshape(-1, kernel.shape[-1])


def moments(model: Any, uses: Sequence[Use], samples: Samples) -> list[Array]:
    """By layer the mean of x x^T over samples and positions, float64 [inputs + 1, inputs + 1].

    The last input is a constant 1, which the bias multiplies.

    Args:
        model: a Keras model, run as in use (no dropout).
        uses: some of its layers.
        samples: what goes in.
    """
    import keras

    whole = functional(model)
    read = [node.input_tensors[0] for use in uses for node in use.nodes]
    inputs = whole.inputs
    watched = keras.Model(inputs[0] if len(inputs) == 1 else inputs, read)
    layers = [use.layer for use in uses for _ in use.nodes]
    totals = [np.zeros(()) for _ in layers]
    counts = [0] * len(layers)
    for start in range(0, len(samples), _BATCH):
        batch = tuple(array[start : start + _BATCH] for array in samples.inputs)
        values = watched(as_keras(batch), training=False)
        values = list(values) if isinstance(values, list | tuple) else [values]
        for index, (layer, value) in enumerate(zip(layers, values, strict=True)):
            rows = columns(layer, value)
            # sums of float32 products of a batch; across batches in float64
            totals[index] = totals[index] + (rows.T @ rows).astype(np.float64)
            counts[index] += len(rows)
    result, position = [], 0
    for use in uses:
        span = slice(position, position + len(use.nodes))
        result.append(np.asarray(sum(totals[span]) / sum(counts[span])))
        position += len(use.nodes)
    return result


def columns(layer: Any, value: Any) -> Array:
    """What a layer multiplies with its matrix: float32 [positions, inputs + 1], the last a 1."""
    import tensorflow as tf

    kind = type(layer).__name__
    if kind == "Conv1D":
        reach = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
        if layer.padding == "causal":
            value = tf.pad(value, ((0, 0), (reach, 0), (0, 0)))
        value = value[:, None]
    if kind != "Dense":
        ones = (1,) if kind == "Conv1D" else ()
        value = tf.image.extract_patches(
            value,
            (1, *ones, *layer.kernel_size, 1),
            (1, *ones, *layer.strides, 1),
            (1, *ones, *layer.dilation_rate, 1),
            "SAME" if layer.padding == "same" else "VALID",
        )
    rows = np.asarray(value, np.float32)
    rows = rows.reshape(-1, rows.shape[-1])
    return np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)
