"""Knowledge distillation: a network learns from what a teacher says besides the labels.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", arXiv:1503.02531;
what the teacher tells of its inside: `compress.hints`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from edgepack.compress.channels import groups, trace
from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.finetune import epoch_progress
from edgepack.compress.hints import Hints, parse_pair, probe
from edgepack.compress.loop import train
from edgepack.compress.losses import is_classes, loss_of
from edgepack.compress.options import FineTune, steps_per_epoch
from edgepack.compress.student import derived, existing, load_student
from edgepack.compress.teacher import (
    Loaded,
    apart,
    check_outputs,
    keras_teacher,
    load_teacher,
    said_of,
)
from edgepack.errors import ConfigError, DataError
from edgepack.models.dataset import Samples
from edgepack.models.keras_run import check_inputs

NAME = "distill"
DEVICE_SAVING = (
    "nothing by training alone; with `width`, `depth` or a smaller `student` flash, RAM and "
    "instructions, because the network has smaller or fewer layers."
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "distill"`.

    The loss is `alpha` times the divergence from the teacher's softened outputs, times the square
    of `temperature`, plus 1 - `alpha` times the loss of the labels; for numbers instead of classes
    the divergence is the mean squared error. A class label below zero is none: of such a sample
    only the teacher's part counts. `teacher` is a model file of any format; by default the network
    before the first step. The student is the network so far, or the one of the file `student`, or
    a new one, untrained, with `depth` of the blocks (`compress.blocks`) and `width` of the
    channels. `hints` and `attention` name layers, `"teacher's:student's"` or one name for both.
    """

    method: Literal["distill"] = "distill"
    teacher: str | None = None
    student: str | None = None
    width: float | None = Field(default=None, gt=0.0, le=1.0)
    depth: float | None = Field(default=None, ge=0.0, lt=1.0)
    temperature: float = Field(default=4.0, gt=0.0)
    alpha: float = Field(default=0.9, ge=0.0, le=1.0)
    hints: tuple[str, ...] = ()
    hint_weight: float = Field(default=1.0, gt=0.0)
    attention: tuple[str, ...] = ()
    attention_weight: float = Field(default=1000.0, gt=0.0)
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()

    @model_validator(mode="after")
    def _one_student(self) -> Config:
        if self.student is not None and (self.width is not None or self.depth is not None):
            raise ValueError("give a student, or width and depth to derive one")
        if self.finetune.teacher is not None:
            raise ValueError("finetune.teacher is for other methods: set teacher")
        return self


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Train a student; the result is the model given, or a new one.

    Raises:
        ConfigError: the teacher has other outputs, there is none, or layers do not fit.
        DataError: there are no labels, and they count.
        ModelError: the teacher or the student cannot be loaded.
    """
    teacher = _teacher(config, context)
    if config.student is not None:
        model = load_student(existing(context.folder, config.student, f"{NAME}: student"))
    elif config.width is not None or config.depth is not None:
        model = derived(model, config.width, config.depth)
    if config.finetune.epochs:
        _train(model, teacher, config, context)
    is_new = any(value is not None for value in (config.student, config.width, config.depth))
    changes = tuple(
        LayerChange(group.name, (len(group.units),), len(group.units), 0, "channels of the student")
        for group in groups(trace(model))
        if is_new
    )
    return Outcome(model, changes, DEVICE_SAVING)


def _teacher(config: Config, context: Context) -> Loaded:
    if config.teacher is not None:
        path = existing(context.folder, config.teacher, f"{NAME}: teacher")
        return load_teacher(path, context.progress)
    if context.original is None:
        raise ConfigError(f"{NAME} has no teacher", next_step='set teacher = "file.keras"')
    return keras_teacher(context.original())


def _train(model: Any, teacher: Loaded, config: Config, context: Context) -> None:
    import tensorflow as tf

    check_outputs(model, teacher, NAME)
    if context.data is None:
        raise DataError(f"{NAME} trains and has no data", allowed="x_train and y_train")
    samples, fit = context.data.train, config.finetune
    if samples.labels is None and config.alpha < 1.0:
        raise DataError(
            f"{NAME} with alpha = {config.alpha} needs labels", allowed="x_train and y_train"
        )
    check_inputs(model, samples)
    hints = _hints(model, teacher, config) if config.hints or config.attention else None
    soft, hard = apart(model, samples.labels, config.temperature), _hard(model, samples, config)
    # asked once for all epochs, unless samples look different each time
    known = None
    if fit.augment is None and config.alpha > 0.0:
        known = tf.constant(said_of(teacher, samples, context.progress))

    def objective(forward: Callable[[Any], Any], x: Any, index: Any) -> Any:
        given = forward(x)
        outputs = given if hints is None else given[0]
        loss = tf.constant(0.0)
        if config.alpha > 0.0:
            said = teacher.ask(x) if known is None else tf.gather(known, index)
            loss += config.alpha * soft(said, outputs)
        if hard is not None:
            loss += (1.0 - config.alpha) * hard(outputs, index)
        if hints is not None:
            feature, attention = hints.losses(hints.ask(x), given[1:])
            loss += config.hint_weight * feature + config.attention_weight * attention
        return loss

    tell = epoch_progress(NAME, context.progress, steps_per_epoch(fit, samples) * fit.epochs)
    train(
        model if hints is None else hints.student,
        objective,
        # what is known of a sample is looked up by its number
        Samples(samples.inputs, np.arange(len(samples))),
        fit,
        seed=config.seed,
        callbacks=[tell],
        variables=() if hints is None else hints.variables,
    )


def _hints(model: Any, teacher: Loaded, config: Config) -> Hints:
    if teacher.model is None:
        raise ConfigError(
            f"{NAME}: teacher = {config.teacher!r} shows its outputs only, and hints and attention "
            "are of layers",
            allowed="a .keras or .h5 teacher",
        )
    features = [parse_pair(text) for text in config.hints]
    attention = [parse_pair(text) for text in config.attention]
    return probe(teacher.model, model, features, attention, config.seed)


def _hard(model: Any, samples: Samples, config: Config) -> Any:
    """A function of (outputs, sample numbers): the loss of the labels; None where none count."""
    import tensorflow as tf

    labels = samples.labels
    if labels is None or config.alpha == 1.0:
        return None
    loss, known = loss_of(model, labels, config.finetune.loss), tf.constant(labels)
    if not is_classes(labels) or int(labels.min()) >= 0:
        return lambda outputs, index: loss(tf.gather(known, index), outputs)

    def labelled(outputs: Any, index: Any) -> Any:
        own = tf.reshape(tf.gather(known, index), [-1])
        there = tf.cast(own >= 0, tf.float32)
        each = loss.call(tf.maximum(own, 0), outputs)
        return tf.reduce_sum(each * there) / tf.maximum(tf.reduce_sum(there), 1.0)

    return labelled
