"""How much each unit of a network matters, by one of several criteria; larger matters more.

A unit's score sums over the layers that make it; within one layer scores are divided by their mean,
so that layers of different size can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from edgepack.compress.activations import channel_activity
from edgepack.compress.channels import MAKERS, Channels, Step
from edgepack.errors import ConfigError, DataError
from edgepack.models.dataset import Dataset
from edgepack.models.keras_run import as_keras
from edgepack.types import Array

Criterion = Literal["l1", "geometric_median", "bn_scale", "taylor", "activation", "apoz"]
_BATCH = 128


def unit_scores(
    model: Any, found: Channels, criterion: Criterion, data: Dataset | None, samples: int, seed: int
) -> dict[int, float]:
    """The score of every unit that some layer makes.

    Args:
        model: the network that `found` was traced from.
        found: its channels.
        criterion: `l1`: mean magnitude of a filter's weights (Li et al. 2017, arXiv:1608.08710).
            `geometric_median`: summed distance to the layer's other filters (He et al. 2019,
            arXiv:1811.00250). `bn_scale`: magnitude of the batch normalization's scale (Liu et al.
            2017, arXiv:1708.06519). `taylor`: square of the summed products of weight and gradient,
            added over batches (Molchanov et al. 2019, arXiv:1906.10771, equation 8). `activation`
            and `apoz`: how strongly, or how often, a channel is active (compress/activations.py).
        data: for the last three.
        samples: of the training split, for these.
        seed: which ones.

    Raises:
        ConfigError: `bn_scale` without a normalization with a scale.
        DataError: `taylor` without labels, a criterion of activations without data.
    """
    if criterion == "bn_scale":
        return _bn_scores(found)
    measure: Callable[[Step], Array]
    if criterion == "taylor":
        taylor = _taylor(model, found, data, samples, seed)
        measure = lambda step: taylor[step.layer.name]  # noqa: E731
    elif criterion == "activation" or criterion == "apoz":
        activity = channel_activity(model, data, criterion, samples, seed)
        measure = lambda step: activity[step.layer.name]  # noqa: E731
    else:
        measure = _l1 if criterion == "l1" else _distance
    scores: dict[int, float] = {}
    for step in _makers(found):
        _add(scores, found, step, measure(step))
    return scores


def _makers(found: Channels) -> list[Step]:
    steps = {s.layer.name: s for s in found.steps if type(s.layer).__name__ in MAKERS}
    return list(steps.values())


def _add(scores: dict[int, float], found: Channels, step: Step, values: Array) -> None:
    """Add one layer's scores to its units', in shares of the layer's mean."""
    mean = float(values.mean()) or 1.0
    for unit, value in zip(found.unit(step.output).tolist(), values.tolist(), strict=True):
        scores[unit] = scores.get(unit, 0.0) + value / mean


def _filters(step: Step, value: Any) -> Array:
    """A kernel as [filters, weights of each]."""
    array = np.asarray(value, dtype=np.float64)
    made = MAKERS[type(step.layer).__name__][0]
    return np.moveaxis(array, made, 0).reshape(array.shape[made], -1)


def _l1(step: Step) -> Array:
    return np.asarray(np.abs(_filters(step, step.layer.kernel)).mean(axis=1))


def _distance(step: Step) -> Array:
    rows = _filters(step, step.layer.kernel)
    squares = (rows**2).sum(axis=1)
    pairs = squares[:, None] + squares[None, :] - 2.0 * rows @ rows.T
    return np.asarray(np.sqrt(np.maximum(pairs, 0.0)).sum(axis=1))


def _bn_scores(found: Channels) -> dict[int, float]:
    scores: dict[int, float] = {}
    for step in found.steps:
        if type(step.layer).__name__ == "BatchNormalization" and step.layer.scale:
            values = np.abs(np.asarray(step.layer.gamma, dtype=np.float64))
            # not divided by the mean: training made these comparable, which is the idea
            for unit, value in zip(found.unit(step.output).tolist(), values, strict=True):
                scores[unit] = scores.get(unit, 0.0) + float(value)
    if not scores:
        raise ConfigError(
            "criterion = 'bn_scale' needs batch normalization, and the network has none",
            allowed=", ".join(name for name in get_args(Criterion) if name != "bn_scale"),
        )
    return scores


def _taylor(
    model: Any, found: Channels, data: Dataset | None, samples: int, seed: int
) -> dict[str, Array]:
    """Scores by layer name, [channels] each."""
    import tensorflow as tf

    from edgepack.compress.losses import loss_of

    if data is None or data.train.labels is None:
        raise DataError("criterion = 'taylor' needs labels", allowed="x_train and y_train")
    chosen = data.train.take(
        np.random.default_rng(seed).permutation(len(data.train))[: max(samples, 1)]
    )
    assert chosen.labels is not None
    loss = loss_of(model, chosen.labels, None)
    steps = _makers(found)
    kernels = [step.layer.kernel.value for step in steps]
    totals = [np.zeros(len(step.output)) for step in steps]
    for start in range(0, len(chosen), _BATCH):
        batch = tuple(array[start : start + _BATCH] for array in chosen.inputs)
        with tf.GradientTape() as tape:
            outputs = model(as_keras(batch), training=False)
            value = tf.reduce_mean(loss(chosen.labels[start : start + _BATCH], outputs))
        gradients = tape.gradient(value, kernels)
        for total, step, gradient in zip(totals, steps, gradients, strict=True):
            if gradient is not None:
                product = _filters(step, step.layer.kernel) * _filters(step, gradient)
                total += product.sum(axis=1) ** 2
    return {step.layer.name: total for step, total in zip(steps, totals, strict=True)}
