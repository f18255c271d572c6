"""The smallest ranks with which a network still scores well enough, before any training.

Each layer alone is split at some of its rungs and the loss measured; one bound on that rise for all
layers, found by bisection, gives ranks with which all splits together hold the score. Then the
layers, the one that could save most first, are lowered by bisection between the rungs looked at. A
split layer is tried by its product in place of its kernel, which computes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.compress.context import Context
from edgepack.compress.losses import loss_of
from edgepack.compress.split import Rung, Splittable
from edgepack.errors import DataError
from edgepack.models.dataset import Samples
from edgepack.models.keras_run import as_keras, check_inputs
from edgepack.models.metrics import Metric, evaluate

NAME = "rank search"
_LOOKS = 8  # rungs of each layer that are measured alone
_HALVINGS = 12
_BATCH = 256


class _Trial:
    """The network with some layers approximated, and how it does."""

    def __init__(self, model: Any, layers: Sequence[Splittable], samples: Samples) -> None:
        assert samples.labels is not None
        self.model, self.layers, self.samples = model, layers, samples
        self.loss = loss_of(model, samples.labels, None)
        self.evaluations = 0

    def measure(self, rungs: dict[int, Rung | None]) -> tuple[float, Metric]:
        """Loss and score with some layers, by number, at a rung."""
        before = {}
        for index, rung in rungs.items():
            if rung is not None:
                kernel = self.layers[index].layer.kernel
                before[index] = np.asarray(kernel)
                product = self.layers[index].factors(rung).product()
                kernel.assign(product.reshape(before[index].shape).astype(np.float32))
        outputs = []
        for start in range(0, len(self.samples), _BATCH):
            batch = tuple(array[start : start + _BATCH] for array in self.samples.inputs)
            outputs.append(np.asarray(self.model(as_keras(batch), training=False)))
        for index, values in before.items():
            self.layers[index].layer.kernel.assign(values)
        self.evaluations += 1
        made = np.concatenate(outputs)
        metric = evaluate(made, self.samples.labels)
        if metric is None:
            raise DataError("max_drop needs labels that the outputs can be compared with")
        return float(np.mean(np.asarray(self.loss(self.samples.labels, made)))), metric


def smallest(
    model: Any,
    layers: Sequence[Splittable],
    context: Context,
    max_drop: float,
    count: int,
    seed: int,
) -> list[Rung | None]:
    """For every layer a rung, or None where it stays whole.

    Args:
        model: a Keras model, the same afterwards.
        layers: of it.
        context: the data, of which the training split is looked at, and the progress.
        max_drop: of the share of right answers; of a mean squared error the share that it may rise.
        count: samples to look at.
        seed: which ones.

    Raises:
        DataError: there are no labels, or none to compare with.
    """
    if context.data is None or context.data.train.labels is None:
        raise DataError("max_drop needs labels", allowed="x_train and y_train")
    train = context.data.train
    check_inputs(model, train)
    order = np.random.default_rng(seed).permutation(len(train))[:count]
    trial = _Trial(model, layers, train.take(np.sort(order)))
    base, score = trial.measure({})

    def holds(rungs: Sequence[Rung | None]) -> bool:
        got = trial.measure(dict(enumerate(rungs)))[1]
        if score.name == "top1":
            return got.value >= score.value - max_drop - 1e-12
        return got.value <= score.value * (1.0 + max_drop)

    looked = []
    for index, entry in enumerate(layers):
        rises = [(rung, trial.measure({index: rung})[0] - base) for rung in _some(entry.ladder)]
        looked.append(rises)
        context.progress(NAME, (index + 1) / len(layers), f"{entry.layer.name} alone")
    chosen = _together(looked, holds)
    _lower(layers, chosen, holds)
    context.progress(NAME, 1.0, f"{trial.evaluations} networks looked at")
    return chosen


def _some(ladder: Sequence[Rung]) -> list[Rung]:
    """Rungs at about equal ratios of weights, the first and the last among them."""
    if not ladder:
        return []
    weights = np.array([rung.weights for rung in ladder], np.float64)
    wanted = np.geomspace(weights[0], weights[-1], _LOOKS)
    return [ladder[index] for index in np.unique(np.searchsorted(weights, wanted - 1e-6))]


def _together(looked: Sequence[Sequence[tuple[Rung, float]]], holds: Any) -> list[Rung | None]:
    """The rungs of the largest bound on the rise of each layer alone with which the score holds."""
    bounds = sorted({max(rise, 0.0) for rises in looked for _, rise in rises})

    def at(bound: float) -> list[Rung | None]:
        return [next((rung for rung, rise in rises if rise <= bound), None) for rises in looked]

    low, high = -1, len(bounds) - 1  # the last index that holds; -1: all layers whole
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(at(bounds[middle])) else (low, middle - 1)
    return at(bounds[low]) if low >= 0 else [None] * len(looked)


def _lower(layers: Sequence[Splittable], chosen: list[Rung | None], holds: Any) -> None:
    """Lower one layer after the other as far as the score holds, the costliest first."""

    def weights(index: int) -> int:
        rung = chosen[index]
        return layers[index].kernel.size if rung is None else rung.weights

    for index in sorted(range(len(layers)), key=weights, reverse=True):
        ladder = layers[index].ladder
        top = chosen[index]
        high = len(ladder) if top is None else ladder.index(top)
        low = 0
        for _ in range(_HALVINGS):
            if low >= high:
                break
            middle = (low + high) // 2
            before, chosen[index] = chosen[index], ladder[middle]
            if holds(chosen):
                high = middle
            else:
                low, chosen[index] = middle + 1, before
