"""Fine-tuning in Keras, shared by all methods: how the network recovers from what was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgepack.compress.context import Context
from edgepack.compress.loop import Objective, StepCallback, train
from edgepack.compress.losses import loss_of
from edgepack.compress.options import FineTune, steps_per_epoch
from edgepack.compress.teacher import mixed
from edgepack.errors import DataError
from edgepack.models.dataset import Dataset
from edgepack.models.keras_run import check_inputs
from edgepack.models.progress import Progress
from edgepack.types import Array


def finetune(
    model: Any,
    data: Dataset,
    config: FineTune,
    *,
    seed: int,
    callbacks: Sequence[StepCallback] = (),
) -> None:
    """Train a model in place on the training split.

    Raises:
        DataError: the data have no labels, or do not fit the model's inputs.
    """
    if data.train.labels is None:
        raise DataError(
            "fine-tuning needs labels and the data have none", allowed="x_train and y_train"
        )
    check_inputs(model, data.train)
    train(
        model,
        objective_of(model, data.train.labels, config),
        data.train,
        config,
        seed=seed,
        callbacks=callbacks,
    )


def recover(
    model: Any,
    config: FineTune,
    context: Context,
    name: str,
    seed: int,
    label: str = "",
    callbacks: Sequence[StepCallback] = (),
) -> None:
    """Fine-tune in place on the context's data, and tell its progress.

    Args:
        model: a Keras model.
        config: how long and how fast.
        context: the data and the progress.
        name: the method, for errors and progress.
        seed: the order of the samples.
        label: put before the progress messages.
        callbacks: called after each step.

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


def objective_of(model: Any, labels: Array, config: FineTune) -> Objective:
    """What training makes small: the loss of the labels, mixed with the teacher's if there is one.

    Args:
        model: in training.
        labels: of the training split.
        config: of the step, its teacher already located.

    Raises:
        ConfigError, ModelError: the teacher does not fit, or cannot be loaded.
    """
    hard = loss_of(model, labels, config.loss)
    if config.teacher is None:
        return lambda forward, x, y: hard(y, forward(x))
    loss = mixed(config.teacher, model, labels, hard)
    return lambda forward, x, y: loss(x, y, forward(x))


def epoch_progress(stage: str, progress: Progress, total_steps: int) -> StepCallback:
    """A callback that reports the share of `total_steps` done, and the loss, now and then."""
    return _Report(stage, progress, total_steps)


class _Report:
    def __init__(self, stage: str, progress: Progress, total: int) -> None:
        self.stage, self.progress, self.total = stage, progress, total
        self.every, self.step = max(1, total // 50), 0

    def state(self) -> dict[str, Array]:
        return {"step": np.asarray(self.step)}

    def restore(self, state: Mapping[str, Array]) -> None:
        self.step = int(state["step"])

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step += 1
        if self.step % self.every == 0 or self.step == self.total:
            text = f"step {self.step}/{self.total}"
            if logs and "loss" in logs:
                text += f", loss {float(logs['loss']):.4f}"
            self.progress(self.stage, self.step / self.total, text)
