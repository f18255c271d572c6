"""A teacher for any training: the loss of the labels mixed with the teacher's softened outputs.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", arXiv:1503.02531.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.compress.losses import ends_in_softmax, is_classes
from edgepack.compress.options import FineTune, Teacher
from edgepack.errors import ConfigError
from edgepack.models.dataset import Samples
from edgepack.models.keras_run import as_keras
from edgepack.models.progress import Progress, silent
from edgepack.types import Array, Shape

ORIGINAL = "original"  # the network before the first step
_SMALL = 1e-7  # keeps the logarithm of a probability finite, as Keras does
_SUM_TOLERANCE = 1e-2  # of probabilities against 1: int8 ones have steps of 1/256
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network to learn from.

    `ask` gives its outputs for a batch of inputs, inside a compiled step as well; `shape` is that
    of one sample's output; `model` is the Keras model, None for files of other formats.
    """

    ask: Callable[[Any], Any]
    shape: Shape
    model: Any = None


def located(config: FineTune, original: Path, folder: Path) -> FineTune:
    """The same settings with the teacher's file found.

    Args:
        config: of a step.
        original: the network before the first step.
        folder: that the name of a file is relative to.

    Raises:
        ConfigError: there is no such file.
    """
    if config.teacher is None:
        return config
    named = config.teacher.model
    path = original if named == ORIGINAL else folder / named
    if not path.exists():
        raise ConfigError(
            f"finetune.teacher.model = {named!r} does not exist",
            allowed=f"a model file, or {ORIGINAL!r}: the network before the first step",
        )
    return replace(config, teacher=replace(config.teacher, model=str(path)))


def load_teacher(path: Path, progress: Progress = silent) -> Loaded:
    """A network to learn from, of any format that edgepack reads.

    Raises:
        ConfigError: it has several outputs, or is no Keras model and has several inputs.
        EdgepackError: it cannot be loaded or converted.
    """
    from edgepack.models import keras_child
    from edgepack.models.handle import ModelFormat
    from edgepack.models.load import FORMATS, format_of

    kind = format_of(path)
    if kind in (ModelFormat.KERAS, ModelFormat.KERAS_H5):
        FORMATS[kind].check(path, False)
        return keras_teacher(keras_child.load_keras(path))
    import tensorflow as tf

    from edgepack.compress.foreign_teacher import ForeignTeacher

    foreign = ForeignTeacher(path, progress)

    def ask(x: Any) -> Any:
        made = tf.numpy_function(foreign, [x], tf.float32, stateful=False)
        return tf.ensure_shape(made, [None, *foreign.shape])

    return Loaded(ask, foreign.shape)


def keras_teacher(model: Any) -> Loaded:
    """A Keras model as a teacher.

    Raises:
        ConfigError: it has several outputs.
    """
    if len(model.outputs) != 1:
        raise ConfigError(f"the teacher has {len(model.outputs)} outputs", allowed="one")
    shape = tuple(model.outputs[0].shape[1:])
    return Loaded(lambda x: model(x, training=False), shape, model)


def check_outputs(model: Any, teacher: Loaded, what: str) -> None:
    """Demand that a network has the outputs of its teacher.

    Args:
        model: a Keras model.
        teacher: of the model.
        what: the setting that chose it, for the error.

    Raises:
        ConfigError: another shape, or several outputs.
    """
    shape = tuple(model.outputs[0].shape[1:])
    if len(model.outputs) != 1 or shape != teacher.shape:
        raise ConfigError(
            f"{what}: the teacher's output {list(teacher.shape)} is not the student's "
            f"{list(shape)}",
            allowed="networks with one output of one shape",
        )


def said_of(teacher: Loaded, samples: Samples, progress: Progress) -> Array:
    """What a teacher says of all samples, float32 [samples, ...]."""
    parts = []
    for start in range(0, len(samples), _BATCH):
        batch = tuple(array[start : start + _BATCH] for array in samples.inputs)
        parts.append(np.asarray(teacher.ask(as_keras(batch)), np.float32))
        done = min(start + _BATCH, len(samples))
        progress("teacher", done / len(samples), f"{done} of {len(samples)} samples")
    return np.concatenate(parts)


def apart(model: Any, labels: Array | None, temperature: float) -> Callable[[Any, Any], Any]:
    """How far a network is from what its teacher says: a function of (said, outputs).

    For classes the divergence of the softened outputs times the square of the temperature, for
    numbers the mean squared error.

    Args:
        model: the student.
        labels: of the training split; without any, classes are meant.
        temperature: above 1 flattens.
    """
    import tensorflow as tf

    if labels is not None and not is_classes(labels):
        return lambda said, outputs: tf.reduce_mean((said - outputs) ** 2)
    logits = not ends_in_softmax(model)

    def divergence(said: Any, outputs: Any) -> Any:
        wanted = tf.nn.log_softmax(scores(said) / temperature)
        given = softened(outputs, temperature, logits)
        rows = tf.reduce_sum(tf.exp(wanted) * (wanted - given), axis=-1)
        return temperature**2 * tf.reduce_mean(rows)

    return divergence


def softened(outputs: Any, temperature: float, logits: bool) -> Any:
    """Log-probabilities at a temperature, [samples, classes].

    Args:
        outputs: a network's, as logits or as probabilities (whose logarithm is a logit, up to a
            constant that the softmax takes out).
        temperature: above 1 flattens.
        logits: which of the two.
    """
    import tensorflow as tf

    found = outputs if logits else tf.math.log(tf.maximum(outputs, _SMALL))
    return tf.nn.log_softmax(found / temperature)


def scores(said: Any) -> Any:
    """Logits of what a network says, of which it is not known whether it ends in a softmax.

    Args:
        said: [samples, classes]; rows that are probabilities become their logarithms.
    """
    import tensorflow as tf

    off = tf.reduce_max(tf.abs(tf.reduce_sum(said, axis=-1) - 1.0))
    probable = (tf.reduce_min(said) >= 0.0) & (off < _SUM_TOLERANCE)
    return tf.where(probable, tf.math.log(tf.maximum(said, _SMALL)), said)


def mixed(
    config: Teacher, model: Any, labels: Array, hard: Callable[[Any, Any], Any]
) -> Callable[[Any, Any, Any], Any]:
    """The loss of a batch as a function of (inputs, labels, outputs).

    `alpha` times the distance from the teacher, plus 1 - `alpha` times `hard(labels, outputs)`.

    Args:
        config: with the teacher's file.
        model: the student.
        labels: of the training split.
        hard: the loss of the labels.

    Raises:
        ConfigError: the teacher's output has another shape.
    """
    teacher = load_teacher(Path(config.model))
    check_outputs(model, teacher, "finetune.teacher")
    soft, alpha = apart(model, labels, config.temperature), config.alpha

    def loss(x: Any, y: Any, outputs: Any) -> Any:
        return alpha * soft(teacher.ask(x), outputs) + (1.0 - alpha) * hard(y, outputs)

    return loss
