"""Fine-tuning in Keras, shared by all methods: how the network recovers from what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context
from edgepack.errors import DataError
from edgepack.models.dataset import Dataset, Samples
from edgepack.models.keras_run import as_keras, check_inputs
from edgepack.models.progress import Progress
from edgepack.types import Array


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FineTune:
    """How long and how fast to train; 0 epochs train nothing.

    `learning_rate` is Adam's at the first step; it falls to zero along a half cosine. `loss` is a
    Keras loss name; None chooses by the labels: sparse categorical cross-entropy for class indices,
    mean squared error for numbers.
    """

    epochs: int = Field(default=4, ge=0, le=10_000)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    loss: str | None = None


def steps_per_epoch(config: FineTune, samples: Samples) -> int:
    """Optimizer steps of one epoch; the last, smaller batch counts as one."""
    return -(-len(samples) // config.batch_size)


def finetune(
    model: Any,
    data: Dataset,
    config: FineTune,
    *,
    seed: int,
    callbacks: Sequence[Any] = (),
) -> None:
    """Train a model in place on the training split.

    Raises:
        DataError: the data have no labels, or do not fit the model's inputs.
    """
    import keras

    if data.train.labels is None:
        raise DataError(
            "fine-tuning needs labels and the data have none", allowed="x_train and y_train"
        )
    check_inputs(model, data.train)
    loss = loss_of(model, data.train.labels, config.loss)
    total = steps_per_epoch(config, data.train) * config.epochs
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, total)
    # XLA costs seconds to compile and its sums depend on the machine more than TensorFlow's own.
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, jit_compile=False)
    order = np.random.default_rng(seed)
    # Shuffled here and not by Keras: the order of the samples then depends on `seed` alone.
    for epoch in range(config.epochs):
        shuffled = data.train.take(order.permutation(len(data.train)))
        model.fit(
            as_keras(shuffled.inputs),
            shuffled.labels,
            batch_size=config.batch_size,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )


def recover(
    model: Any,
    config: FineTune,
    context: Context,
    name: str,
    seed: int,
    label: str = "",
    callbacks: Sequence[Any] = (),
) -> None:
    """Fine-tune in place on the context's data, and tell its progress.

    Args:
        model: a Keras model.
        config: how long and how fast.
        context: the data and the progress.
        name: the method, for errors and progress.
        seed: the order of the samples.
        label: put before the progress messages.
        callbacks: further Keras callbacks.

    Raises:
        DataError: there are no data, or none that fit.
    """
    if config.epochs == 0:
        return
    if context.data is None:
        raise DataError(
            f"{name} fine-tunes and has no data",
            next_step='name them in edgepack.toml: [data] source = "train:load_data"',
        )

    def told(stage: str, fraction: float | None, message: str) -> None:
        context.progress(stage, fraction, label + message)

    total = steps_per_epoch(config, context.data.train) * config.epochs
    tell = epoch_progress(name, told, total)
    finetune(model, context.data, config, seed=seed, callbacks=[*callbacks, tell])


def loss_of(model: Any, labels: Array, name: str | None) -> Any:
    """The Keras loss for these labels: a function of (labels, outputs).

    Args:
        model: whether it ends in a softmax decides if class scores are taken as logits.
        labels: of the training split.
        name: a Keras loss name, or None to choose by the labels.
    """
    import keras

    if name is not None:
        return keras.losses.get(name)
    if labels.dtype.kind in "iub" and labels.reshape(len(labels), -1).shape[1] == 1:
        logits = not ends_in_softmax(model)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    return keras.losses.MeanSquaredError()


def epoch_progress(stage: str, progress: Progress, total_steps: int) -> Any:
    """A Keras callback that reports the share of `total_steps` done, and the loss, now and then."""
    import keras

    every = max(1, total_steps // 50)

    class _Report(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
        def __init__(self) -> None:
            super().__init__()
            self.step = 0

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            self.step += 1
            if self.step % every == 0 or self.step == total_steps:
                loss = (logs or {}).get("loss")
                text = f"step {self.step}/{total_steps}"
                if loss is not None:
                    text += f", loss {float(loss):.4f}"
                progress(stage, self.step / total_steps, text)

    return _Report()


def ends_in_softmax(model: Any) -> bool:
    """Whether a model gives probabilities; otherwise its outputs are taken as logits."""
    import keras

    last = model.layers[-1]
    return isinstance(last, keras.layers.Softmax) or (
        getattr(last, "activation", None) is keras.activations.softmax
    )
