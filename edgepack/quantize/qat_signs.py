"""Training of what one bit is left of: signs of sums, and books of vectors of signs.

Backward, the sign counts as the identity between -1 and 1 and as a constant beyond (the clipped
straight-through estimator, Hubara et al., "Binarized Neural Networks", NeurIPS 2016).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from edgepack.quantize.books import VECTOR, make_book
from edgepack.quantize.qat_numbers import SIGN_WINDOW, straight_through
from edgepack.types import Array

_MOMENTUM = 0.95  # of statistics: what each further batch leaves of the average
_LEAST_VARIANCE = 1e-3  # of sums of whole numbers
_UNITS = 127.0  # of a sign as stored


def signs(x: Any) -> Any:
    """-1 and 1; 0 is 1."""
    import tensorflow as tf

    return tf.where(x >= 0, tf.ones_like(x), -tf.ones_like(x))


class SignOutput:
    """The threshold of each channel of a layer that stores signs.

    Sums are normalized as by BatchNorm in training (statistics of the batch, averages of them
    afterwards) and moved by a learned shift; of all that the integer layer needs one number.

    Args:
        offset: [channels], added to the sums at first.
        pooled: how many signs a max-pool then takes the largest of. Training starts with as many
            results of -1 as of 1: else nearly all would be 1, which teaches nothing.
    """

    def __init__(self, offset: Array, pooled: int = 1) -> None:
        import keras

        shift = np.full_like(offset, NormalDist().inv_cdf(1 - 0.5 ** (1 / pooled)), np.float32)
        self.shift = keras.Variable(shift)
        self.mean = keras.Variable((shift - offset).astype(np.float32))
        self.variance = keras.Variable(np.ones_like(offset, np.float32))

    @property
    def statistics(self) -> list[Any]:
        """What training changes without a gradient."""
        return [self.mean, self.variance]

    def units(self, total: Any, *, training: bool) -> Any:
        """Sums, whole numbers with the channel last, as -127 and 127."""
        import tensorflow as tf

        mean, variance = self.mean.value, self.variance.value
        if training:
            mean, variance = tf.nn.moments(total, list(range(len(total.shape) - 1)))
            for kept, seen in zip(self.statistics, (mean, variance), strict=True):
                kept.assign(_MOMENTUM * kept + (1 - _MOMENTUM) * seen)
        deviation = tf.sqrt(tf.maximum(variance, _LEAST_VARIANCE))
        smooth = tf.clip_by_value((total - mean) / deviation + self.shift.value, -1.0, 1.0)
        exact = signs(total + tf.floor(self.shift.value * deviation - mean))
        return straight_through(_UNITS * smooth, _UNITS * exact)

    def offset(self) -> Array:
        """Whole numbers [channels]: the output is 1 where sum + offset is 0 or more."""
        import tensorflow as tf

        deviation = tf.sqrt(tf.maximum(self.variance.value, _LEAST_VARIANCE))
        return np.asarray(tf.floor(self.shift.value * deviation - self.mean.value))


class Book:
    """The vectors that eight weights of a layer may be; trained with the weights.

    Args:
        scaled: the weights over their clips.
        size: how many vectors.
    """

    def __init__(self, scaled: Array, size: int) -> None:
        import keras

        self.centres = keras.Variable(make_book(scaled, size))

    def units(self, scaled: Any) -> Any:
        """Weights over their clips as -1 and 1, eight at a time the nearest vector."""
        import tensorflow as tf

        smooth = tf.clip_by_value(self.centres.value, -1.0, 1.0)
        vectors = straight_through(smooth, signs(smooth))
        groups = tf.reshape(tf.clip_by_value(scaled, -1.0, 1.0), (-1, VECTOR))
        nearest = tf.argmax(tf.matmul(groups, vectors, transpose_b=True), axis=1)
        found = tf.reshape(tf.gather(vectors, nearest), tf.shape(scaled))
        # the gradient goes to the vectors and, as with single signs, to the weights
        wide = tf.clip_by_value(scaled, -SIGN_WINDOW, SIGN_WINDOW)
        return found + (wide - tf.stop_gradient(wide))
