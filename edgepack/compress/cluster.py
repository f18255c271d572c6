"""Weight sharing: the weights of a layer take a few values, which are trained on together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.finetune import epoch_progress, objective_of
from edgepack.compress.kmeans import Init, kmeans, nearest
from edgepack.compress.loop import train
from edgepack.compress.options import FineTune, steps_per_epoch
from edgepack.compress.reparametrize import Made
from edgepack.compress.weights import PRUNABLE, matches
from edgepack.errors import ConfigError, DataError
from edgepack.models.keras_run import check_inputs
from edgepack.types import Array

NAME = "cluster"
DEVICE_SAVING = (
    "flash, with `--optimize size` and weights that have one scale per layer (`[quantize] scheme = "
    '"int8-per-tensor"`): int8 keeps the few values of a layer, which are then stored as indices '
    "or Huffman codes. Decoding costs instructions. With any other build: none."
)


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "cluster"`.

    A layer gets 2 to the power of `bits` values; `layer_bits` overrides it by shell patterns of
    weight paths. Weights that are zero stay zero, and zero is then one of the values. `skip` holds
    patterns of weights to leave alone.
    """

    method: Literal["cluster"] = "cluster"
    bits: Literal[1, 2, 3, 4, 5, 6] = 4
    layer_bits: dict[str, Literal[1, 2, 3, 4, 5, 6]] = Field(default_factory=dict)
    init: Init = "linear"
    skip: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune(epochs=2, learning_rate=1e-4)


@dataclass(eq=False)
class _Shared:
    """A weight array: its values, which of them is zero for good (or -1), and each weight's."""

    variable: Any
    values: Array
    zero: int
    index: Array


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Cluster a Keras model's weights in place and train the values.

    Raises:
        ConfigError: there is nothing to cluster.
        DataError: there are no data, or none with labels that fit.
    """
    shared = [_cluster(variable, config) for variable in _chosen(model, config)]
    for entry in shared:
        _assign(entry)
    if config.finetune.epochs:
        _train(model, shared, config, context)
    changes = []
    for entry in shared:
        weights = np.asarray(entry.variable)
        note = f"{len(np.unique(weights))} values"
        zeros = int((weights == 0.0).sum())
        changes.append(LayerChange(entry.variable.path, weights.shape, weights.size, zeros, note))
    return Outcome(model, tuple(changes), DEVICE_SAVING)


def _chosen(model: Any, config: Config) -> list[Any]:
    found = [
        variable
        for variable in model.trainable_weights
        if variable.name in PRUNABLE
        and len(variable.shape) >= 2
        and not any(matches(variable.path, pattern) for pattern in config.skip)
    ]
    if not found:
        raise ConfigError(
            f"{NAME} finds no weights", allowed="trainable layers with a " + ", ".join(PRUNABLE)
        )
    for pattern in config.layer_bits:
        if not any(matches(variable.path, pattern) for variable in found):
            raise ConfigError(
                f"{NAME}: layer_bits {pattern!r} matches no weights",
                allowed=", ".join(variable.path for variable in found),
            )
    return found


def _cluster(variable: Any, config: Config) -> _Shared:
    weights = np.asarray(variable, np.float64)
    bits = config.bits
    for pattern, own in config.layer_bits.items():
        if matches(variable.path, pattern):
            bits = own
    flat = weights.reshape(-1)
    pruned = flat == 0.0
    count = (1 << bits) - int(pruned.any())
    others = flat[~pruned]
    if not len(others):
        return _Shared(variable, np.zeros(1), 0, np.zeros(flat.size, np.int64))
    values = kmeans(others, count, config.init, config.seed)
    index = nearest(flat, values)
    if not pruned.any():
        return _Shared(variable, values, -1, index)
    # zero comes last; it is not among the trained values, and no other weight is put there
    index[pruned] = len(values)
    return _Shared(variable, np.append(values, 0.0), len(values), index)


def _assign(entry: _Shared) -> None:
    weights = entry.values.astype(np.float32)[entry.index]
    entry.variable.assign(weights.reshape(tuple(entry.variable.shape)))


def _train(model: Any, shared: list[_Shared], config: Config, context: Context) -> None:
    """Adam on the shared values (a value's gradient is the sum of its weights') and the rest."""
    import keras
    import tensorflow as tf

    data, fit = context.data, config.finetune
    if data is None or data.train.labels is None:
        raise DataError(f"{NAME} fine-tunes and needs labels", allowed="x_train and y_train")
    check_inputs(model, data.train)
    books = [keras.Variable(entry.values.astype(np.float32)) for entry in shared]

    def gathered(entry: _Shared, book: Any) -> Callable[[], Any]:
        index = tf.constant(entry.index.reshape(tuple(entry.variable.shape)), tf.int32)
        moving = tf.constant((np.arange(len(entry.values)) != entry.zero).astype(np.float32))
        # the one that is zero is multiplied by zero: it stays, and so does its gradient
        return lambda: tf.gather(book.value * moving, index)

    made = [
        Made(entry.variable, gathered(entry, book))
        for entry, book in zip(shared, books, strict=True)
    ]
    tell = epoch_progress(NAME, context.progress, steps_per_epoch(fit, data.train) * fit.epochs)
    train(
        model,
        objective_of(model, data.train.labels, fit),
        data.train,
        fit,
        seed=config.seed,
        callbacks=[tell],
        made=made,
        variables=books,
    )
