"""Fake quantization that computes what the integer kernels compute, with gradients.

A quantized tensor is held as its units (stored value minus zero point: whole numbers in float32,
exact below 2^24) and its grid. Forward passes are those of TFLite Micro's kernels, both roundings
of a requantization included; backward, rounding counts as the identity (the straight-through
estimator, Bengio et al. 2013), which gives scales the gradient of LSQ (Esser et al. 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgepack.quantize.params import FAINT, WeightGrid
from edgepack.types import DType

LIMITS = {DType.INT8: (-128.0, 127.0), DType.INT16: (-32768.0, 32767.0)}
SIGN_WINDOW = 3.0  # of weights over their scale, within which their signs have a gradient
_TINY = 1e-30  # below it a scale is that of a tensor of zeros
_LEAST_SCALE = 1.1754944e-38  # the smallest normal float32, as in `params.weight_scales`
_ONE = 2.0**31  # of the multiplier's fraction
_WIDE_BITS = 15  # of the multiplier of kernels with 16-bit activations
_LEAST_EXPONENT = -31.0  # of a multiplier; below it is 0


@dataclass(frozen=True)
class Grid:
    """Scale and zero point of a tensor, as TensorFlow scalars (float32)."""

    dtype: DType
    scale: Any
    zero: Any

    def limits(self) -> tuple[Any, Any]:
        """The least and the largest units."""
        low, high = LIMITS[self.dtype]
        return low - self.zero, high - self.zero


@dataclass(frozen=True)
class Value:
    """A tensor in the simulation: `units` on a `grid`, or, where that is None, real numbers."""

    units: Any
    grid: Grid | None = None

    @property
    def real(self) -> Any:
        """Real numbers."""
        return self.units if self.grid is None else self.units * self.grid.scale

    @property
    def stored(self) -> Any:
        """What the integer model stores; real numbers where it stores floats."""
        return self.units if self.grid is None else self.units + self.grid.zero


def straight_through(smooth: Any, exact: Any) -> Any:
    """The value of `exact` with the gradient of `smooth`."""
    import tensorflow as tf

    return tf.stop_gradient(exact) + (smooth - tf.stop_gradient(smooth))  # that is, + 0


def half_away(x: Any) -> Any:
    """Nearest whole number, halves away from zero."""
    import tensorflow as tf

    return tf.sign(x) * tf.floor(tf.abs(x) + 0.5)


def grid_of(low: Any, high: Any, dtype: DType) -> Grid:
    """The grid of a range that holds 0; as `params.activation_params`.

    Args:
        low, high: scalars, low <= 0 <= high.
        dtype: INT8 or INT16.
    """
    import tensorflow as tf

    smallest, largest = LIMITS[dtype]
    if dtype is DType.INT16:
        scale = tf.maximum(tf.maximum(-low, high) / largest, _TINY)
        return Grid(dtype, scale, tf.zeros_like(scale))
    scale = tf.maximum((high - low) / (largest - smallest), _TINY)
    smooth = smallest - low / scale
    zero = straight_through(smooth, tf.round(smooth))
    return Grid(dtype, scale, tf.clip_by_value(zero, smallest, largest))


def quantize(value: Value, grid: Grid) -> Value:
    """A tensor on a grid: nearest, saturated."""
    import tensorflow as tf

    if value.grid is grid:
        return value
    smooth = value.real / grid.scale
    # in double as `params.QParams.store`: of int16, float32 moves one tie in some thousands
    exact = half_away(tf.cast(value.real, tf.float64) / tf.cast(grid.scale, tf.float64))
    units = straight_through(smooth, tf.cast(exact, tf.float32))
    return Value(tf.clip_by_value(units, *grid.limits()), grid)


def weight_grid(
    weights: Any, clip: Any, grid: WeightGrid, axis: int | None, least: Any | None = None
) -> tuple[Any, Any]:
    """Weights in units, and their scales; as `params.weight_scales` on the clipped weights.

    Args:
        weights: real values.
        clip: the largest magnitude allowed, of a shape that broadcasts over the weights.
        grid: of what they are stored as.
        axis: of the output channels, or None for one scale.
        least: scales that the bias needs, one per output channel; None without a bias.
    """
    import tensorflow as tf

    clipped = tf.clip_by_value(weights, -clip, clip)
    others = [i for i in range(len(weights.shape)) if i != axis]
    levels = float(grid.largest)
    scale = tf.reduce_max(tf.abs(clipped), axis=others, keepdims=True) / levels
    usable = scale >= _LEAST_SCALE
    widest = tf.reduce_max(tf.where(usable, scale, tf.zeros_like(scale)))
    widest = tf.where(widest > 0, widest, tf.ones_like(widest)) * (FAINT if grid.odd else 1.0)
    scale = tf.where(usable, scale, tf.stop_gradient(widest))
    if least is not None:
        shape = [1] * len(weights.shape)
        if axis is None:
            least = tf.reduce_max(least)
        else:
            shape[axis] = -1
        scale = tf.maximum(scale, tf.stop_gradient(tf.reshape(least, shape)))
    smooth = clipped / scale
    # in double as `params.store_weights`: float32 moves one tie in some hundred thousands
    wide = tf.cast(clipped, tf.float64) / tf.cast(scale, tf.float64)
    whole = 2.0 * tf.floor(wide / 2.0) + 1.0 if grid.odd else tf.round(wide)
    whole = tf.cast(whole, tf.float32)
    if grid.odd and grid.largest == 1:
        # about half of the weights lie beyond a clip of signs, and may still change theirs
        wide = weights / tf.stop_gradient(scale)
        return straight_through(tf.clip_by_value(wide, -SIGN_WINDOW, SIGN_WINDOW), whole), scale
    units = tf.clip_by_value(straight_through(smooth, whole), -levels, levels)
    return units, scale


def requantize(
    total: Any,
    source: Any,
    scales: Any,
    grid: Grid,
    low: Any | None = None,
    high: Any | None = None,
) -> Value:
    """The sum of a convolution or dense layer as its kernel stores it.

    Args:
        total: whole numbers, the output channel last.
        source: scale of the input.
        scales: of the weights, one or one per output channel.
        grid: of the output.
        low, high: real numbers that the fused activation clamps to; None for none.
    """
    import tensorflow as tf

    # in double as the kernels' preparation: a float32 product would be off in the last bit
    wide = [tf.cast(s, tf.float64) for s in (source, scales, grid.scale)]
    ratio = wide[0] * wide[1] / wide[2]
    smooth = tf.cast(total, tf.float32) * (source * scales / grid.scale)
    exact = _fixed_point(
        tf.stop_gradient(tf.cast(total, tf.float64)),
        tf.stop_gradient(ratio),
        wide=grid.dtype is DType.INT16,
    )
    units = straight_through(smooth, tf.cast(exact, tf.float32))
    least, most = grid.limits()
    if low is not None:
        least = tf.maximum(least, _rounded(low, grid))
    if high is not None:
        most = tf.minimum(most, _rounded(high, grid))
    return Value(tf.clip_by_value(units, least, most), grid)


def _rounded(real: Any, grid: Grid) -> Any:
    smooth = real / grid.scale
    return straight_through(smooth, half_away(smooth))


def reduce(total: Any, count: int, source: Grid, grid: Grid) -> Value:
    """Sums of units as the kernels of MEAN and SUM store them.

    Args:
        total: whole numbers.
        count: how many values each is the sum of, for MEAN; 1 for SUM.
        source, grid: of the input and the output.
    """
    import tensorflow as tf

    ratio = tf.cast(source.scale, tf.float64) / tf.cast(grid.scale, tf.float64)
    shift = _exponent(ratio)
    fraction = tf.round(ratio / tf.pow(_two(), shift) * _ONE) / _ONE
    # the division by the count is folded into the fraction, which is cut off at 31 bits again
    moved = tf.minimum(tf.constant(min(count.bit_length() - 1, 32.0), tf.float64), 31.0 + shift)
    fraction = tf.floor(fraction * _ONE * tf.pow(_two(), moved) / count) / _ONE
    exact = _twice_rounded(tf.cast(total, tf.float64), fraction, tf.pow(_two(), shift - moved))
    smooth = total * (source.scale / grid.scale / count)
    units = straight_through(smooth, tf.cast(exact, tf.float32))
    return Value(tf.clip_by_value(units, *grid.limits()), grid)


def _two() -> Any:
    import tensorflow as tf

    return tf.constant(2.0, tf.float64)


def _exponent(ratio: Any) -> Any:
    """e of ratio = fraction x 2^e with a fraction between 1/2 and 1."""
    import tensorflow as tf

    return tf.floor(tf.math.log(ratio) / tf.math.log(_two())) + 1.0


def _twice_rounded(total: Any, fraction: Any, power: Any) -> Any:
    """total x fraction x power, rounded before and after a shift to the right."""
    import tensorflow as tf

    left = tf.maximum(power, 1.0)
    return half_away(half_away(total * left * fraction) * tf.minimum(power, 1.0))


def _fixed_point(total: Any, ratio: Any, *, wide: bool) -> Any:
    """total x ratio as kernels compute it: a fraction of 31 bits, a rounding, a shift, a rounding.

    With 16-bit activations the fraction has 15 bits and one rounding follows, halves upwards.
    """
    import tensorflow as tf

    exponent = _exponent(ratio)
    ratio = tf.where(exponent < _LEAST_EXPONENT, tf.zeros_like(ratio), ratio)
    power = tf.pow(_two(), exponent)
    if wide:
        one = 2.0**_WIDE_BITS
        fraction = tf.round(ratio / power * one) / one
        return tf.floor(total * fraction * power + 0.5)
    return _twice_rounded(total, tf.round(ratio / power * _ONE) / _ONE, power)
