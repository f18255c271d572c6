"""The diagonal of the loss's Hessian, estimated from squared gradients of single samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from edgepack.compress.losses import ends_in_softmax, loss_of
from edgepack.errors import ConfigError, DataError
from edgepack.models.dataset import Samples
from edgepack.models.keras_run import as_keras, outputs_of
from edgepack.types import Array

_FLOOR = 1e-12  # of the odds of a class: a sum of zeros could not be divided by
Curvature = Literal["gauss_newton", "fisher"]


def diagonal(
    model: Any,
    variables: Sequence[Any],
    samples: Samples,
    kind: Curvature,
    loss_name: str | None,
    seed: int,
) -> list[Array]:
    """The mean over samples of each weight's squared gradient, float64, shaped as the weights.

    Args:
        model: a Keras model of one output; it is left as it is.
        variables: weights of it.
        samples: with labels.
        kind: `gauss_newton`: gradients for labels drawn from the network's own outputs; their mean
            is the diagonal of the Gauss-Newton matrix (for class scores also called the Fisher
            information; Martens 2020, arXiv:1412.1193, section 9). For numbers the gradients of
            random combinations of the outputs, signs +-1, scaled as the mean squared error is.
            `fisher`: for the labels of the data (the empirical Fisher, which vanishes where all
            samples are learnt by heart).
        loss_name: a Keras loss, or None to choose by the labels.
        seed: of the draws.

    Raises:
        DataError: there are no labels.
        ConfigError: `gauss_newton` with a loss whose curvature is not known here.
    """
    import tensorflow as tf

    labels = samples.labels
    if labels is None:
        raise DataError("the curvature of the loss needs labels", allowed="x_train and y_train")
    loss = loss_of(model, labels, loss_name)
    if kind == "gauss_newton":
        objective, targets = _drawn(model, samples, loss_name, labels, seed)
    else:
        targets = labels

        def objective(outputs: Any, y: Any) -> Any:
            return tf.reduce_mean(loss(y, outputs))

    values = [v.value for v in variables]
    totals = [tf.Variable(tf.zeros(tuple(v.shape), tf.float64), trainable=False) for v in variables]

    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def add(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            value = objective(model(x, training=False), y)
        for total, gradient in zip(totals, tape.gradient(value, values), strict=True):
            if gradient is not None:
                total.assign_add(tf.cast(tf.square(tf.convert_to_tensor(gradient)), tf.float64))

    for index in range(len(samples)):
        one = samples.take(np.array([index]))
        add(as_keras(one.inputs), tf.convert_to_tensor(targets[index : index + 1]))
    return [np.asarray(total) / len(samples) for total in totals]


def _drawn(
    model: Any, samples: Samples, loss_name: str | None, labels: Array, seed: int
) -> tuple[Any, Array]:
    """An objective and one target per sample, whose gradients have the Gauss-Newton matrix."""
    import tensorflow as tf

    generator = np.random.default_rng(seed)
    outputs = outputs_of(model, samples)
    if outputs is None:
        raise ConfigError("the curvature of a network with several outputs is not known")
    classes = labels.dtype.kind in "iub" and labels.reshape(len(labels), -1).shape[1] == 1
    if loss_name not in (None, "mean_squared_error", "mse"):
        raise ConfigError(
            f"curvature = 'gauss_newton' does not know the loss {loss_name!r}",
            allowed="no loss (chosen by the labels), 'mean_squared_error'; or curvature = 'fisher'",
        )
    if classes and loss_name is None:
        scores = outputs.reshape(len(outputs), -1).astype(np.float64)
        if not ends_in_softmax(model):
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = scores / scores.sum(axis=1, keepdims=True)
        # A sure network hardly ever draws another class than the first, and its gradient for that
        # one is next to zero: draw by p (1 - p), about what a class contributes, and weigh.
        parts = probabilities * (1.0 - probabilities) + _FLOOR
        sums = parts.sum(axis=1, keepdims=True)
        heights = np.cumsum(parts / sums, axis=1)
        drawn = (generator.random((len(parts), 1)) > heights[:, :-1]).sum(axis=1)
        rows = np.arange(len(drawn))
        weights = np.sqrt(probabilities[rows, drawn] * sums[:, 0] / parts[rows, drawn])
        loss = loss_of(model, labels, None)

        def weighted(out: Any, y: Any) -> Any:
            return tf.reduce_mean(loss(tf.cast(y[:, 0], tf.int64), out) * y[:, 1])

        return weighted, np.stack([drawn, weights], axis=1).astype(np.float32)
    signs = generator.choice(np.array([-1.0, 1.0], np.float32), outputs.shape)
    scale = np.float32(np.sqrt(2.0 / outputs[0].size))
    return (lambda out, y: tf.reduce_sum(out * y) * scale), signs
