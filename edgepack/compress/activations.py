"""How strongly and how often the channels of a network are active on real samples."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from edgepack.compress.channels import MAKERS, functional, nodes
from edgepack.errors import DataError
from edgepack.models.dataset import Dataset
from edgepack.models.keras_run import as_keras
from edgepack.types import Array

ActivationKind = Literal["activation", "apoz"]
_BATCH = 64
# What a layer's output goes through before it counts as its activation.
_BEHIND = frozenset(
    ("BatchNormalization", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Relu", "Relu6")
)


def channel_activity(
    model: Any, data: Dataset | None, kind: ActivationKind, samples: int, seed: int
) -> dict[str, Array]:
    """By layer that makes channels, a score of each; the uses of a shared layer are added.

    Args:
        model: a Keras model.
        data: labels are not needed.
        kind: `activation`: the mean magnitude (Molchanov et al. 2017, arXiv:1611.06440, section
            2.2). `apoz`: the share that is above zero, one minus the average percentage of zeros
            (Hu et al. 2016, arXiv:1607.03250). Both behind normalization and activation layers.
        samples: of the training split.
        seed: which ones.

    Raises:
        DataError: there are no data.
    """
    import keras

    if data is None:
        raise DataError(f"criterion = '{kind}' needs samples", allowed="x_train")
    whole = functional(model)
    makers = [node for node in nodes(whole) if type(node.operation).__name__ in MAKERS]
    inputs = whole.inputs
    watched = keras.Model(
        inputs[0] if len(inputs) == 1 else inputs, [_activated(whole, node) for node in makers]
    )
    order = np.random.default_rng(seed).permutation(len(data.train))[:samples]
    chosen = data.train.take(order)
    totals: dict[str, Array] = {}
    for start in range(0, len(chosen), _BATCH):
        batch = tuple(array[start : start + _BATCH] for array in chosen.inputs)
        values = watched(as_keras(batch), training=False)
        values = list(values) if isinstance(values, list | tuple) else [values]
        for node, value in zip(makers, values, strict=True):
            array = np.asarray(value)
            active = np.abs(array) if kind == "activation" else array > 0
            rows = active.reshape(-1, array.shape[-1])
            # the mean over positions: samples all have as many
            mean = rows.mean(axis=0, dtype=np.float64) * len(array) / len(chosen)
            name = node.operation.name
            totals[name] = totals.get(name, np.zeros(len(mean))) + mean
    return totals


def _activated(whole: Any, node: Any) -> Any:
    """The tensor behind a layer's normalization and activation."""
    (tensor,) = node.output_tensors
    while True:
        readers = [n for n in nodes(whole) if any(t is tensor for t in n.input_tensors)]
        if len(readers) != 1 or type(readers[0].operation).__name__ not in _BEHIND:
            return tensor
        (tensor,) = readers[0].output_tensors
