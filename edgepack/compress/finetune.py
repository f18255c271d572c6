"""Fine-tuning in Keras, shared by all methods: how the network recovers from what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.errors import DataError
from edgepack.models.dataset import Dataset, Samples
from edgepack.models.keras_run import as_keras, check_inputs
from edgepack.models.progress import Progress


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FineTune:
    """How long and how fast to train.

    `learning_rate` is Adam's at the first step; it falls to zero along a half cosine. `loss` is a
    Keras loss name; None chooses by the labels: sparse categorical cross-entropy for class indices,
    mean squared error for numbers.
    """

    epochs: int = Field(default=4, ge=1, le=10_000)
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
    labels = data.train.labels
    is_class = labels.dtype.kind in "iub" and labels.reshape(len(labels), -1).shape[1] == 1
    loss = config.loss or ("sparse_categorical_crossentropy" if is_class else "mse")
    if config.loss is None and is_class and not _ends_in_softmax(model):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
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


def _ends_in_softmax(model: Any) -> bool:
    import keras

    last = model.layers[-1]
    return isinstance(last, keras.layers.Softmax) or (
        getattr(last, "activation", None) is keras.activations.softmax
    )
