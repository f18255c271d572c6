"""A teacher for any training: the loss of the labels mixed with the teacher's softened outputs.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", arXiv:1503.02531.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgepack.compress.options import FineTune, Teacher
from edgepack.errors import ConfigError

_SMALL = 1e-7  # keeps the logarithm of a probability finite, as Keras does
ORIGINAL = "original"  # the network before the first step


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
    if not path.is_file():
        raise ConfigError(
            f"finetune.teacher.model = {named!r} does not exist",
            allowed=f"a .keras or .h5 file, or {ORIGINAL!r}: the network before the first step",
        )
    return replace(config, teacher=replace(config.teacher, model=str(path)))


def load_teacher(path: Path) -> Any:
    """A network to learn from.

    Raises:
        ModelError: it cannot be loaded.
    """
    from edgepack.models import keras_child
    from edgepack.models.keras_file import check_keras

    if path.suffix.lower() == ".keras":
        check_keras(path)
    return keras_child.load_keras(path)


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


def divergence(wanted: Any, given: Any) -> Any:
    """Kullback-Leibler divergence of log-probabilities, the mean over the samples."""
    import tensorflow as tf

    return tf.reduce_mean(tf.reduce_sum(tf.exp(wanted) * (wanted - given), axis=-1))


def mixed(
    config: Teacher, model: Any, hard: Callable[[Any, Any], Any], is_softmax: Callable[[Any], bool]
) -> Callable[[Any, Any, Any], Any]:
    """The loss of a batch as a function of (inputs, labels, outputs).

    `alpha` times the divergence, times the square of the temperature, plus 1 - `alpha` times
    `hard(labels, outputs)`.

    Raises:
        ConfigError: the teacher's output has another shape.
    """
    teacher = load_teacher(Path(config.model))
    shapes = [tuple(tensor.shape[1:]) for tensor in (teacher.outputs[0], model.outputs[0])]
    if shapes[0] != shapes[1] or len(teacher.outputs) + len(model.outputs) != 2:
        raise ConfigError(
            f"finetune.teacher: its output {list(shapes[0])} is not the network's "
            f"{list(shapes[1])}",
            allowed="networks with one output of one shape",
        )
    logits, teacher_logits = not is_softmax(model), not is_softmax(teacher)
    heat, alpha = config.temperature, config.alpha

    def loss(x: Any, y: Any, outputs: Any) -> Any:
        wanted = softened(teacher(x, training=False), heat, teacher_logits)
        apart = divergence(wanted, softened(outputs, heat, logits))
        return alpha * heat**2 * apart + (1.0 - alpha) * hard(y, outputs)

    return loss
