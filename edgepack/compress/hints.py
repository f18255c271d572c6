"""What a teacher tells of its inside: features of chosen layers, or where it looks.

Features: the student's are mapped to the teacher's by a 1x1 convolution that is trained along and
thrown away (Romero et al. 2015, "FitNets: hints for thin deep nets", arXiv:1412.6550, equation 3,
here in shares of the mean square of the teacher's features, so that the weight needs no tuning by
layer). Attention: sums of squares over the channels, of length 1 (Zagoruyko and Komodakis 2017,
"Paying more attention to attention", arXiv:1612.03928, equation 2 with p = 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.compress.channels import functional
from edgepack.errors import ConfigError

_SMALL = 1e-12  # keeps a division by the length of a map of zeros finite


@dataclass(frozen=True)
class Pair:
    """Layers to compare, by name."""

    teacher: str
    student: str


@dataclass(frozen=True, eq=False)
class Hints:
    """Both networks with the outputs to compare, features before attention.

    `student` gives its own output first; `regressors` hold one kernel per pair of features, or
    None where a map is compared by attention.
    """

    teacher: Any
    student: Any
    regressors: tuple[Any | None, ...]

    @property
    def variables(self) -> list[Any]:
        """What is trained besides the student."""
        return [kernel for kernel in self.regressors if kernel is not None]

    def ask(self, x: Any) -> list[Any]:
        """What the teacher has inside for a batch."""
        made = self.teacher(x, training=False)
        return list(made) if isinstance(made, list | tuple) else [made]

    def losses(self, wanted: Sequence[Any], given: Sequence[Any]) -> tuple[Any, Any]:
        """How far the student is off in features and in attention, each a sum over the pairs."""
        import tensorflow as tf

        feature = attention = tf.constant(0.0)
        for kernel, t, s in zip(self.regressors, wanted, given, strict=True):
            t, s = tf.cast(t, tf.float32), tf.cast(s, tf.float32)
            if kernel is None:
                attention += tf.reduce_mean((attention_map(t) - attention_map(s)) ** 2)
            else:
                off = tf.reduce_mean((t - tf.tensordot(s, kernel.value, 1)) ** 2)
                feature += off / (tf.reduce_mean(t**2) + _SMALL)
        return feature, attention


def attention_map(features: Any) -> Any:
    """Where features are large: [samples, positions], each of length 1.

    Args:
        features: [samples, ..., channels].
    """
    import tensorflow as tf

    squares = tf.reduce_sum(features**2, axis=-1)
    flat = tf.reshape(squares, [tf.shape(squares)[0], -1])
    return flat / (tf.norm(flat, axis=1, keepdims=True) + _SMALL)


def parse_pair(text: str) -> Pair:
    """`layer` of both networks, or `teacher's:student's`."""
    teacher, _, student = text.partition(":")
    return Pair(teacher, student or teacher)


def probe(
    teacher: Any, student: Any, features: Sequence[Pair], attention: Sequence[Pair], seed: int
) -> Hints:
    """Open both networks at their layers.

    Args:
        teacher: a Keras model.
        student: a Keras model; the one returned shares its layers.
        features: pairs of the same shape, up to the number of channels.
        attention: the same, and with positions.
        seed: of the regressors, uniform as Glorot and Bengio have it.

    Raises:
        ConfigError: a layer is not there, or the shapes do not fit.
    """
    import keras

    pairs = [*features, *attention]
    wanted = [_output(teacher, pair.teacher, "teacher") for pair in pairs]
    given = [_output(student, pair.student, "student") for pair in pairs]
    generator = np.random.default_rng(seed)
    regressors: list[Any | None] = []
    for index, (pair, t, s) in enumerate(zip(pairs, wanted, given, strict=True)):
        rank = 3 if index >= len(features) else 2
        if t.shape[1:-1] != s.shape[1:-1] or len(t.shape) < rank:
            raise ConfigError(
                f"the teacher's {pair.teacher} gives {list(t.shape[1:])} and the student's "
                f"{pair.student} {list(s.shape[1:])}",
                allowed="outputs that differ in their last axis only"
                + (", with positions to attend to" if rank == 3 else ""),
            )
        if index >= len(features):
            regressors.append(None)
            continue
        shape = (int(s.shape[-1]), int(t.shape[-1]))
        limit = (6.0 / sum(shape)) ** 0.5
        values = generator.uniform(-limit, limit, shape).astype(np.float32)
        regressors.append(keras.Variable(values, name="regressor"))
    student = functional(student)
    return Hints(
        keras.Model(_inputs(teacher), wanted),
        keras.Model(_inputs(student), [student.outputs[0], *given]),
        tuple(regressors),
    )


def _inputs(model: Any) -> Any:
    """The inputs as the model is called: one alone is in no list."""
    inputs = functional(model).inputs
    return inputs[0] if len(inputs) == 1 else inputs


def _output(model: Any, name: str, who: str) -> Any:
    whole = functional(model)
    found = {layer.name: layer for layer in whole.layers}
    if name not in found:
        raise ConfigError(
            f"the {who} has no layer {name!r}", allowed=", ".join(sorted(found)) or None
        )
    output = found[name].output
    if isinstance(output, list | tuple):
        raise ConfigError(f"the {who}'s layer {name!r} has several outputs", allowed="one")
    return output
