"""TFLite operators -> ONNX operators on float values. To add one, write it and add a row.

Attributes are those of schema.fbs on one side and of ONNX's Operators.md on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgepack.convert.onnx_out.builder import TO_FIRST, Builder
from edgepack.convert.rewrites.editor import Site
from edgepack.errors import UnsupportedError
from edgepack.types import Array

Write = Callable[[Builder, Site], None]

_SAME, _VALID = 0, 1  # schema.fbs, Padding
# schema.fbs, ActivationFunctionType -> the bounds of a Clip; None where there is none
_BOUNDS: dict[int, tuple[float | None, float | None]] = {
    1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)
}  # fmt: skip


def ends(b: Builder, site: Site) -> tuple[list[int], int, str]:
    """The inputs, the one output and its name."""
    output = b.editor.outputs(site)[0]
    return b.editor.inputs(site), output, b.label(output)


def fused(b: Builder, site: Site, value: str, label: str) -> str:
    """The activation that an operator does itself."""
    kind = int(site.operator.builtinOptions.fusedActivationFunction)
    if kind == 0:
        return value
    if kind not in _BOUNDS:
        raise UnsupportedError(f"the fused activation {kind} of {label} has no form in ONNX")
    return clip(b, value, *_BOUNDS[kind], label)


def clip(b: Builder, value: str, low: float | None, high: float | None, label: str) -> str:
    """Relu where it is one, Clip otherwise."""
    if (low, high) == (0.0, None):
        return b.node("Relu", [value], f"{label}/relu")
    limits = [
        "" if bound is None else b.constant(np.array(bound, np.float32), f"{label}/bound")
        for bound in (low, high)
    ]
    return b.node("Clip", [value, *limits], f"{label}/clip")


def same_pads(
    options: Any, sizes: Sequence[int], outs: Sequence[int], kernel: Sequence[int]
) -> list[int]:
    """Zeros before and behind rows and columns, in ONNX's order.

    SAME puts the odd one behind (TensorFlow's documentation of tf.nn.convolution).
    """
    if options.padding != _SAME:
        return [0, 0, 0, 0]
    strides = (options.strideH, options.strideW)
    dilations = _dilations(options)
    total = [
        max((out - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        for size, out, k, stride, dilation in zip(
            sizes, outs, kernel, strides, dilations, strict=True
        )
    ]
    return [total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2]


def _dilations(options: Any) -> list[int]:
    return [getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1)]


def convolution(b: Builder, site: Site) -> None:
    """CONV_2D and DEPTHWISE_CONV_2D."""
    inputs, output, label = ends(b, site)
    options = site.operator.builtinOptions
    weights = constant_of(b, inputs[1])
    is_depthwise = b.editor.name(site.operator) == "DEPTHWISE_CONV_2D"
    # 1HWC -> C1HW for depthwise, OHWI -> OIHW else
    value = weights.transpose([3, 0, 1, 2] if is_depthwise else TO_FIRST)
    channels = b.shape(inputs[0])[3]
    parameters = [b.get(inputs[0], first=True), b.weights(inputs[1], value, 0, b.label(inputs[1]))]
    parameters += bias(b, inputs)
    kernel = list(value.shape[2:])
    made = b.node(
        "Conv",
        parameters,
        f"{label}/sum",
        kernel_shape=kernel,
        strides=[options.strideH, options.strideW],
        dilations=_dilations(options),
        group=channels if is_depthwise else channels // value.shape[1],
        pads=same_pads(options, b.shape(inputs[0])[1:3], b.shape(output)[1:3], kernel),
    )
    b.set(output, fused(b, site, made, label), first=True)


def bias(b: Builder, inputs: Sequence[int]) -> list[str]:
    """The third input of a convolution or dense layer, if it has one."""
    if len(inputs) < 3 or inputs[2] < 0:
        return []
    return [b.weights(inputs[2], constant_of(b, inputs[2]), 0, b.label(inputs[2]))]


def constant_of(b: Builder, tensor: int) -> Array:
    """A constant's value.

    Raises:
        UnsupportedError: the tensor is computed, or packed in a way that ONNX does not have.
    """
    value = b.editor.constant(b.graph, tensor)
    if value is None:
        raise UnsupportedError(f"the weights {b.label(tensor)} are computed at run time or packed")
    return value


def dense(b: Builder, site: Site) -> None:
    """FULLY_CONNECTED."""
    inputs, output, label = ends(b, site)
    weights = constant_of(b, inputs[1])
    value = b.get(inputs[0])
    if len(b.shape(inputs[0])) != 2:
        shape = b.constant(np.array([-1, weights.shape[1]], np.int64), f"{label}/rows")
        value = b.pair(b.node("Reshape", [value, shape], f"{label}/flat"), inputs[0])
    parameters = [value, b.weights(inputs[1], weights, 0, b.label(inputs[1])), *bias(b, inputs)]
    made = b.node("Gemm", parameters, f"{label}/sum", transB=1)
    made = fused(b, site, made, label)
    if len(b.shape(output)) != 2:
        shape = b.constant(np.array(b.shape(output), np.int64), f"{label}/shape")
        made = b.node("Reshape", [made, shape], f"{label}/shaped")
    b.set(output, made)


def pool(b: Builder, site: Site) -> None:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    inputs, output, label = ends(b, site)
    options = site.operator.builtinOptions
    kernel = [options.filterHeight, options.filterWidth]
    made = b.node(
        "MaxPool" if b.editor.name(site.operator) == "MAX_POOL_2D" else "AveragePool",
        [b.get(inputs[0], first=True)],
        f"{label}/pool",
        kernel_shape=kernel,
        strides=[options.strideH, options.strideW],
        pads=same_pads(options, b.shape(inputs[0])[1:3], b.shape(output)[1:3], kernel),
    )
    b.set(output, fused(b, site, made, label), first=True)


def binary(op: str) -> Write:
    """An operator on two values, broadcast, in the layout that most of them have."""

    def write(b: Builder, site: Site) -> None:
        inputs, output, label = ends(b, site)
        first = _all_alike(b, inputs, output)
        made = b.node(op, [b.get(i, first=first) for i in inputs[:2]], f"{label}/{op.lower()}")
        options = site.operator.builtinOptions
        if hasattr(options, "fusedActivationFunction"):
            made = fused(b, site, made, label)
        b.set(output, made, first=first)

    return write


def _all_alike(b: Builder, inputs: Sequence[int], output: int) -> bool:
    """Whether all inputs are at hand channels first, or can be without a Transpose at run time."""
    if len(b.shape(output)) != 4:
        return False
    known = [i for i in inputs if b.editor.constant(b.graph, i) is None]
    if not known or not all(b.held_first(i) for i in known):
        return False
    return all(len(b.shape(i)) in (0, 4) for i in inputs)


def unary(op: str, **attributes: Any) -> Write:
    """An operator on each element."""

    def write(b: Builder, site: Site) -> None:
        inputs, output, label = ends(b, site)
        first = b.held_first(inputs[0])
        made = b.node(op, [b.get(inputs[0], first=first)], f"{label}/{op.lower()}", **attributes)
        b.set(output, made, first=first)

    return write


def bounded(low: float | None, high: float | None) -> Write:
    """RELU and its kind."""

    def write(b: Builder, site: Site) -> None:
        inputs, output, label = ends(b, site)
        first = b.held_first(inputs[0])
        b.set(output, clip(b, b.get(inputs[0], first=first), low, high, label), first=first)

    return write


def leaky_relu(b: Builder, site: Site) -> None:
    """LEAKY_RELU."""
    unary("LeakyRelu", alpha=float(site.operator.builtinOptions.alpha))(b, site)


def softmax(b: Builder, site: Site) -> None:
    """SOFTMAX over the last axis; `beta` scales its input."""
    inputs, output, label = ends(b, site)
    value, beta = b.get(inputs[0]), float(site.operator.builtinOptions.beta)
    if beta != 1.0:
        factor = b.constant(np.array(beta, np.float32), f"{label}/beta")
        value = b.node("Mul", [value, factor], f"{label}/scaled")
    b.set(output, b.node("Softmax", [value], f"{label}/softmax", axis=-1))


def same_value(b: Builder, site: Site) -> None:
    """QUANTIZE and DEQUANTIZE: the value, rounded to the steps of the output."""
    inputs, output, _ = ends(b, site)
    first = b.held_first(inputs[0])
    b.set(output, b.get(inputs[0], first=first), first=first)


def reshape(b: Builder, site: Site) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the output's shape says it all."""
    inputs, output, label = ends(b, site)
    source = b.shape(inputs[0])
    # one row or one channel: the order of elements is the same in both layouts
    plain = len(source) == 4 and (source[3] == 1 or source[1] * source[2] == 1)
    first = plain and b.held_first(inputs[0])
    shape = b.constant(np.array(b.shape(output), np.int64), f"{label}/shape")
    b.set(output, b.node("Reshape", [b.get(inputs[0], first=first), shape], f"{label}/reshaped"))


def transpose(b: Builder, site: Site) -> None:
    """TRANSPOSE by a constant order."""
    inputs, output, label = ends(b, site)
    order = b.integers(site, 1)
    b.set(output, b.node("Transpose", [b.get(inputs[0])], f"{label}/moved", perm=order))


def concatenation(b: Builder, site: Site) -> None:
    """CONCATENATION along an axis."""
    inputs, output, label = ends(b, site)
    first = _all_alike(b, inputs, output)
    axis = int(site.operator.builtinOptions.axis) % len(b.shape(output))
    axis = TO_FIRST.index(axis) if first else axis
    made = b.node("Concat", [b.get(i, first=first) for i in inputs], f"{label}/joined", axis=axis)
    b.set(output, fused(b, site, made, label), first=first)


def mean(b: Builder, site: Site) -> None:
    """MEAN over constant axes."""
    inputs, output, label = ends(b, site)
    rank = len(b.shape(inputs[0]))
    axes = sorted(axis % rank for axis in b.integers(site, 1))
    keep = bool(site.operator.builtinOptions.keepDims)
    # without its rows and columns what is left of an image has no layout
    first = b.held_first(inputs[0]) and (keep or axes == [1, 2])
    if first:
        axes = sorted(TO_FIRST.index(axis) for axis in axes)
    value = b.get(inputs[0], first=first)
    made = b.node("ReduceMean", [value], f"{label}/mean", axes=axes, keepdims=int(keep))
    b.set(output, made, first=first and keep)


def pad(b: Builder, site: Site) -> None:
    """PAD with zeros."""
    inputs, output, label = ends(b, site)
    first = b.held_first(inputs[0])
    pairs = np.array(b.integers(site, 1)).reshape(-1, 2)
    if first:
        pairs = pairs[TO_FIRST]
    amounts = b.constant(pairs.T.reshape(-1).astype(np.int64), f"{label}/pads")
    made = b.node("Pad", [b.get(inputs[0], first=first), amounts], f"{label}/padded")
    b.set(output, made, first=first)


OPS: dict[str, Write] = {
    "ABS": unary("Abs"),
    "ADD": binary("Add"),
    "AVERAGE_POOL_2D": pool,
    "CONCATENATION": concatenation,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": convolution,
    "DEQUANTIZE": same_value,
    "DIV": binary("Div"),
    "ELU": unary("Elu"),
    "EXP": unary("Exp"),
    "EXPAND_DIMS": reshape,
    "FULLY_CONNECTED": dense,
    "HARD_SWISH": unary("HardSwish"),
    "LEAKY_RELU": leaky_relu,
    "LOG": unary("Log"),
    "LOGISTIC": unary("Sigmoid"),
    "MAXIMUM": binary("Max"),
    "MAX_POOL_2D": pool,
    "MEAN": mean,
    "MINIMUM": binary("Min"),
    "MUL": binary("Mul"),
    "NEG": unary("Neg"),
    "PAD": pad,
    "QUANTIZE": same_value,
    "RELU": bounded(0.0, None),
    "RELU6": bounded(0.0, 6.0),
    "RELU_N1_TO_1": bounded(-1.0, 1.0),
    "RESHAPE": reshape,
    "SOFTMAX": softmax,
    "SQRT": unary("Sqrt"),
    "SQUEEZE": reshape,
    "SUB": binary("Sub"),
    "TANH": unary("Tanh"),
    "TRANSPOSE": transpose,
}
