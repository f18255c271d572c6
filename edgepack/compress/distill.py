"""Knowledge distillation: a network learns from the outputs of a teacher besides the labels.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", arXiv:1503.02531.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.compress.channels import groups, trace
from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.finetune import FineTune, loss_of, steps_per_epoch
from edgepack.compress.shrink import shrink
from edgepack.errors import ConfigError, DataError
from edgepack.models.keras_run import as_keras, check_inputs

NAME = "distill"
DEVICE_SAVING = (
    "nothing by training alone; with `width` below 1 flash, RAM and instructions, because the "
    "student has smaller layers."
)
_SMALL = 1e-7  # keeps the logarithm of a probability finite, as Keras does


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "distill"`.

    The loss is `alpha` times the divergence from the teacher's softened outputs, times the square
    of `temperature`, plus 1 - `alpha` times the loss of the labels. `teacher` is a .keras or .h5
    file; by default the network before the first step. The student is the network so far; with
    `width` a new one, untrained, with that share of its channels.
    """

    method: Literal["distill"] = "distill"
    teacher: str | None = None
    width: float | None = Field(default=None, gt=0.0, le=1.0)
    temperature: float = Field(default=4.0, gt=0.0)
    alpha: float = Field(default=0.9, ge=0.0, le=1.0)
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Train a student; the result is the model given, or a narrower new one.

    Raises:
        ConfigError: the teacher has other outputs, or there is none.
        DataError: there are no labels.
        ModelError: the teacher cannot be loaded.
    """
    teacher = _teacher(config, context)
    if config.width is not None:
        model = narrower(model, config.width)
    shapes = [tuple(tensor.shape[1:]) for tensor in (teacher.outputs[0], model.outputs[0])]
    if shapes[0] != shapes[1] or len(teacher.outputs) + len(model.outputs) != 2:
        raise ConfigError(
            f"{NAME}: the teacher's output {list(shapes[0])} is not the student's "
            f"{list(shapes[1])}",
            allowed="networks with one output of one shape",
        )
    _train(model, teacher, config, context)
    changes = tuple(
        LayerChange(group.name, (len(group.units),), len(group.units), 0, "channels of the student")
        for group in groups(trace(model))
        if config.width is not None
    )
    return Outcome(model, changes, DEVICE_SAVING)


def narrower(model: Any, width: float) -> Any:
    """The same network with a share of the channels, at least one in each layer, untrained."""
    import keras

    found = trace(model)
    gone: set[int] = set()
    for group in groups(found):
        gone.update(group.units[max(1, round(width * len(group.units))) :])
    return keras.models.clone_model(shrink(model, found, gone))


def softened(outputs: Any, temperature: float, logits: bool) -> Any:
    """Log-probabilities at a temperature, [samples, classes].

    Args:
        outputs: a network's, as logits or as probabilities (whose logarithm is a logit, up to a
            constant that the softmax takes out).
        temperature: above 1 flattens.
        logits: which of the two.
    """
    import tensorflow as tf

    scores = outputs if logits else tf.math.log(tf.maximum(outputs, _SMALL))
    return tf.nn.log_softmax(scores / temperature)


def _teacher(config: Config, context: Context) -> Any:
    from edgepack.models import keras_child
    from edgepack.models.keras_file import check_keras

    if config.teacher is None:
        if context.original is None:
            raise ConfigError(f"{NAME} has no teacher", next_step='set teacher = "file.keras"')
        return context.original()
    path = context.folder / Path(config.teacher)
    if not path.is_file():
        raise ConfigError(f"{NAME}: teacher = {config.teacher!r} does not exist", allowed="a file")
    if path.suffix.lower() == ".keras":
        check_keras(path)
    return keras_child.load_keras(path)


def _train(model: Any, teacher: Any, config: Config, context: Context) -> None:
    import keras
    import tensorflow as tf

    from edgepack.compress.finetune import ends_in_softmax

    data, fit = context.data, config.finetune
    if data is None or data.train.labels is None:
        raise DataError(f"{NAME} trains and needs labels", allowed="x_train and y_train")
    check_inputs(model, data.train)
    check_inputs(teacher, data.train)
    hard = loss_of(model, data.train.labels, fit.loss)
    logits, teacher_logits = not ends_in_softmax(model), not ends_in_softmax(teacher)
    total = steps_per_epoch(fit, data.train) * fit.epochs
    if not total:
        return
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(fit.learning_rate, total)
    )
    optimizer.build(model.trainable_variables)
    heat = config.temperature

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(x: Any, y: Any) -> Any:
        wanted = softened(teacher(x, training=False), heat, teacher_logits)
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            given = softened(outputs, heat, logits)
            apart = tf.reduce_mean(tf.reduce_sum(tf.exp(wanted) * (wanted - given), axis=-1))
            loss = config.alpha * heat**2 * apart + (1.0 - config.alpha) * hard(y, outputs)
            if model.losses:
                loss += tf.add_n(model.losses)
        variables = [variable.value for variable in model.trainable_variables]
        optimizer.apply(tape.gradient(loss, variables), model.trainable_variables)
        return loss

    order, done, every = np.random.default_rng(config.seed), 0, max(1, total // 50)
    for _ in range(fit.epochs):
        shuffled = order.permutation(len(data.train))
        for start in range(0, len(shuffled), fit.batch_size):
            batch = data.train.take(shuffled[start : start + fit.batch_size])
            loss = step(as_keras(batch.inputs), batch.labels)
            done += 1
            if done % every == 0 or done == total:
                text = f"step {done}/{total}, loss {float(loss):.4f}"
                context.progress(NAME, done / total, text)
