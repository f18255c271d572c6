"""What the operators of a `.tflite` compute, in TensorFlow, for batches of any size.

One function per operator for the simulation that training runs through; to train through another
operator, add it here. Weights come in TFLite's layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgepack.errors import UnsupportedError
from edgepack.types import Array

# Of ActivationFunctionType in TFLite's schema: lower and upper clamp.
CLAMPS: Mapping[int, tuple[float | None, float | None]] = {
    0: (None, None),
    1: (0.0, None),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}
_TANH = 4


def clamps(options: Any, name: str) -> tuple[float | None, float | None]:
    """The real numbers that an operator's fused activation clamps to.

    Raises:
        UnsupportedError: it is another kind of activation.
    """
    code = int(getattr(options, "fusedActivationFunction", 0) or 0)
    if code not in CLAMPS:
        kind = "TANH" if code == _TANH else str(code)
        raise UnsupportedError(f"{name!r} has the fused activation {kind}, which no kernel has")
    return CLAMPS[code]


def clamp(x: Any, low: float | None, high: float | None) -> Any:
    """A tensor within limits."""
    import tensorflow as tf

    x = x if low is None else tf.maximum(x, low)
    return x if high is None else tf.minimum(x, high)


def _padding(options: Any) -> str:
    return "VALID" if int(options.padding) == 1 else "SAME"


def conv_2d(x: Any, w: Any, options: Any) -> Any:
    """x [n, h, w, in], w [out, kh, kw, in]."""
    import tensorflow as tf

    return tf.nn.conv2d(
        x,
        tf.transpose(w, (1, 2, 3, 0)),
        (int(options.strideH), int(options.strideW)),
        _padding(options),
        dilations=(int(options.dilationHFactor), int(options.dilationWFactor)),
    )


def depthwise_conv_2d(x: Any, w: Any, options: Any) -> Any:
    """x [n, h, w, in], w [1, kh, kw, in * multiplier]."""
    import tensorflow as tf

    channels, (height, width) = int(x.shape[-1]), w.shape[1:3]
    filters = tf.reshape(w, (height, width, channels, -1))
    strides = (1, int(options.strideH), int(options.strideW), 1)
    dilations = (int(options.dilationHFactor), int(options.dilationWFactor))
    return tf.nn.depthwise_conv2d(x, filters, strides, _padding(options), dilations=dilations)


def fully_connected(x: Any, w: Any, options: Any) -> Any:
    """x [..., in], w [out, in]."""
    import tensorflow as tf

    if not options.keepNumDims:
        x = tf.reshape(x, (-1, int(w.shape[1])))
    return tf.tensordot(x, w, axes=[[-1], [1]])


WEIGHTED: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
}

Constants = Sequence[Array | None]
Function = Callable[[Sequence[Any], Any, Constants, tuple[int, ...]], Any]


def _window(options: Any) -> dict[str, Any]:
    return {
        "ksize": (int(options.filterHeight), int(options.filterWidth)),
        "strides": (int(options.strideH), int(options.strideW)),
        "padding": _padding(options),
    }


def _batched(shape: tuple[int, ...], source: Any) -> tuple[int, ...]:
    """A shape for one sample as that for a batch of them."""
    del source
    return (-1, *shape[1:])


def _reshape(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return tf.reshape(x[0], _batched(shape, x[0]))


def _reduce_axes(c: Constants) -> list[int]:
    assert c[1] is not None
    return [int(i) for i in c[1].reshape(-1)]


def _mean(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return tf.reduce_mean(x[0], _reduce_axes(c), keepdims=bool(o.keepDims))


def _sum(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(x[0], _reduce_axes(c), keepdims=bool(o.keepDims))


def _pad(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    assert c[1] is not None
    return tf.pad(x[0], np.asarray(c[1], np.int32))


def _transpose(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    assert c[1] is not None
    return tf.transpose(x[0], [int(i) for i in c[1]])


def _concatenation(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return tf.concat(list(x), int(o.axis))


def _tf(name: str) -> Function:
    """An operator that is one function of TensorFlow with as many inputs."""

    def call(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
        import tensorflow as tf

        function = tf
        for part in name.split("."):
            function = getattr(function, part)
        return function(*x)

    return call


def _softmax(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return tf.nn.softmax(x[0] * float(o.beta))


def _leaky_relu(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return tf.nn.leaky_relu(x[0], float(o.alpha))


def _hard_swish(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return x[0] * tf.nn.relu6(x[0] + 3.0) / 6.0


def average_pool(x: Any, options: Any) -> Any:
    """Means of windows; what padding adds does not count."""
    import tensorflow as tf

    return tf.nn.avg_pool2d(x, **_window(options))


def _max_pool(x: Sequence[Any], o: Any, c: Constants, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return tf.nn.max_pool2d(x[0], **_window(o))


# Those that move or choose values: they work on units as on real numbers.
MOVES: Mapping[str, Function] = {
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _reshape,
    "MAXIMUM": _tf("maximum"),
    "MAX_POOL_2D": _max_pool,
    "MINIMUM": _tf("minimum"),
    "PAD": _pad,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "TRANSPOSE": _transpose,
}
# Those that compute on real numbers and are then stored on a grid of their own.
REAL: Mapping[str, Function] = {
    "ABS": _tf("abs"),
    "ADD": _tf("add"),
    "AVERAGE_POOL_2D": lambda x, o, c, shape: average_pool(x[0], o),
    "ELU": _tf("nn.elu"),
    "HARD_SWISH": _hard_swish,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _tf("sigmoid"),
    "MEAN": _mean,
    "MUL": _tf("multiply"),
    "RELU": _tf("nn.relu"),
    "RELU6": _tf("nn.relu6"),
    "SOFTMAX": _softmax,
    "SQUARED_DIFFERENCE": lambda x, o, c, shape: _tf("square")([x[0] - x[1]], o, c, shape),
    "SUB": _tf("subtract"),
    "SUM": _sum,
    "TANH": _tf("tanh"),
}
KNOWN = frozenset(WEIGHTED) | frozenset(MOVES) | frozenset(REAL)


def trouble(op: str, channels: int, constants: Constants, options: Any) -> str | None:
    """Why an operator cannot be trained through; None where it can.

    Args:
        op: TFLite's name.
        channels: of its first input, the last dimension.
        constants: of its inputs.
        options: the schema's.
    """
    second = constants[1] if len(constants) > 1 else None
    if op == "CONV_2D" and second is not None and second.shape[-1] != channels:
        return "TensorFlow has no gradient of grouped convolutions on a CPU"
    if op == "DEPTHWISE_CONV_2D" and int(options.strideH) != int(options.strideW):
        return "TensorFlow has no depthwise convolution with two different strides"
    if op in ("MEAN", "SUM") and (second is None or 0 in second.reshape(-1)):
        return "it reduces over the batch"
    if op == "CONCATENATION" and int(options.axis) == 0:
        return "it joins batches"
    if op == "TRANSPOSE" and (second is None or int(second.reshape(-1)[0]) != 0):
        return "it moves the batch axis"
    return None
