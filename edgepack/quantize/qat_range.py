"""Ranges of activations that training may move."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.quantize.params import QParams
from edgepack.quantize.plan import Range
from edgepack.quantize.qat_numbers import Grid, grid_of
from edgepack.types import DType

MAX_FACTOR = 3.0  # of a learned range or clip against where it began, as a power of e


class LearnedRange:
    """The range of tensors that share a scale; its ends move by factors, so that 0 stays 0."""

    def __init__(self, params: QParams, *, learned: bool) -> None:
        import keras

        self.start, self.learned = params, learned
        low, high = params.limits
        if params.dtype is DType.INT16:
            low = -high
        self.low, self.high = np.float32(low), np.float32(high)
        self.variables = [keras.Variable(0.0), keras.Variable(0.0)] if learned else []

    def ends(self) -> tuple[Any, Any]:
        """Low and high as they are now."""
        import tensorflow as tf

        if not self.learned:
            return tf.constant(self.low), tf.constant(self.high)
        low, high = (tf.exp(tf.clip_by_value(v, -MAX_FACTOR, MAX_FACTOR)) for v in self.variables)
        return self.low * low, self.high * high

    def grid(self) -> Grid:
        """The grid as it is now."""
        import tensorflow as tf

        if self.learned:
            return grid_of(*self.ends(), self.start.dtype)
        zero = tf.constant(float(self.start.zero_point))
        return Grid(self.start.dtype, tf.constant(np.float32(self.start.scale)), zero)

    def average(self, real: Any, momentum: float) -> None:
        """Move the ends towards those of a batch, in TensorFlow's graph."""
        import tensorflow as tf

        seen = (tf.reduce_min(real), tf.reduce_max(real))
        for variable, start, end, now in zip(
            self.variables, (self.low, self.high), seen, self.ends(), strict=True
        ):
            if start != 0:
                moved = (momentum * now + (1 - momentum) * end) / start
                variable.assign(tf.math.log(tf.maximum(moved, np.exp(-MAX_FACTOR))))

    def params(self) -> QParams:
        """The grid as numbers."""
        grid = self.grid()
        return QParams(self.start.dtype, float(grid.scale), int(round(float(grid.zero))))

    def exported(self) -> Range:
        """A range of which `activation_params` makes exactly this grid."""
        params = self.params()
        if params.dtype is DType.INT16:
            return (-params.limits[1], params.limits[1])
        return params.limits
