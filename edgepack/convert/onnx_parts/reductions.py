"""Reductions and normalizations (definitions: onnx Operators.md)."""

from __future__ import annotations

import numpy as np

from edgepack.convert.onnx_parts.parts import Parts, Rewrite

_INT32, _INT64 = 6, 7  # TensorProto.DataType


def _axes(p: Parts) -> list[int] | None:
    """The axes of a reduction; all where none are named, and none where that means nothing."""
    rank = len(p.shape())
    named = p.value(1) if p.has(1) else p.attributes.get("axes")
    if p.has(1) and named is None:
        return None
    if named is None or len(named) == 0:
        return [] if p.attributes.get("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(int(axis) % rank for axis in named)


def _reduce(p: Parts, kind: str, x: str, axes: list[int], output: str) -> str:
    if not axes:
        return p.node("Identity", x, output=output)
    keep = bool(p.attributes.get("keepdims", 1))
    return p.reduce(kind, x, axes, keep, output)


def named_axes(kind: str) -> Rewrite:
    """A reduction over all axes with their names: onnx2tf wants them."""

    def rewrite(p: Parts) -> bool:
        axes = _axes(p)
        named = p.value(1) if p.has(1) else p.attributes.get("axes")
        if axes is None or (named is not None and len(named) > 0):
            return False
        _reduce(p, kind, p.inputs[0], axes, p.outputs[0])
        return True

    return rewrite


def norm_1(p: Parts) -> bool:
    """The sum of absolute values."""
    axes = _axes(p)
    if axes is None:
        return False
    _reduce(p, "ReduceSum", p.node("Abs", p.inputs[0]), axes, p.outputs[0])
    return True


def norm_2(p: Parts) -> bool:
    """The root of the sum of squares."""
    axes = _axes(p)
    if axes is None:
        return False
    squares = p.node("Mul", p.inputs[0], p.inputs[0])
    p.node("Sqrt", _reduce(p, "ReduceSum", squares, axes, ""), output=p.outputs[0])
    return True


def squares(p: Parts) -> bool:
    """The sum of squares."""
    axes = _axes(p)
    if axes is None:
        return False
    _reduce(p, "ReduceSum", p.node("Mul", p.inputs[0], p.inputs[0]), axes, p.outputs[0])
    return True


def normalize(p: Parts) -> bool:
    """LpNormalization: x over its norm, 0 where the norm is 0."""
    rank = len(p.shape())
    axes = [int(p.attributes.get("axis", -1)) % rank]
    if int(p.attributes.get("p", 2)) == 1:
        norm = p.reduce("ReduceSum", p.node("Abs", p.inputs[0]), axes)
    else:
        squared = p.node("Mul", p.inputs[0], p.inputs[0])
        norm = p.node("Sqrt", p.reduce("ReduceSum", squared, axes))
    # a norm of 0 has zeros above it: any other divisor gives them
    least = p.node("Max", norm, p.number(float(np.finfo(np.float32).tiny)))
    p.node("Div", p.inputs[0], least, output=p.outputs[0])
    return True


def last_index(kind: str) -> Rewrite:
    """ArgMax and ArgMin that choose the last of equal values: the first one from behind."""

    def rewrite(p: Parts) -> bool:
        if not p.attributes.get("select_last_index", 0):
            return False
        shape = p.shape()
        axis = int(p.attributes.get("axis", 0)) % len(shape)
        size = shape[axis]
        order = p.integers(list(range(size))[::-1])
        turned = p.node("Gather", p.inputs[0], order, axis=axis)
        keep = int(p.attributes.get("keepdims", 1))
        found = p.node("Cast", p.node(kind, turned, axis=axis, keepdims=keep), to=_INT32)
        minus = p.node("Mul", found, p.constant(np.array(-1, np.int32)))
        place = p.node("Add", minus, p.constant(np.array(size - 1, np.int32)))
        p.node("Cast", place, output=p.outputs[0], to=_INT64)
        return True

    return rewrite


def layer_normalization(p: Parts) -> bool:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias; also mean and 1 / deviation."""
    rank = len(p.shape())
    axes = list(range(int(p.attributes.get("axis", -1)) % rank, rank))
    outputs = [*p.outputs, "", ""][:3]
    mean = p.reduce("ReduceMean", p.inputs[0], axes, output=outputs[1])
    moved = p.node("Sub", p.inputs[0], mean)
    variance = p.reduce("ReduceMean", p.node("Mul", moved, moved), axes)
    epsilon = p.number(float(p.attributes.get("epsilon", 1e-5)))
    deviation = p.node("Sqrt", p.node("Add", variance, epsilon))
    inverse = p.node("Div", p.number(1.0), deviation, output=outputs[2])
    normal = p.node("Mul", moved, inverse)
    last = not p.has(2)
    scaled = p.node("Mul", normal, p.inputs[1], output=p.outputs[0] if last else "")
    if not last:
        p.node("Add", scaled, p.inputs[2], output=p.outputs[0])
    return True


def local_response(p: Parts) -> bool:
    """LRN: x / (bias + alpha / size * sum of squares over some channels) ** beta.

    The sum over channels is a convolution of one pixel whose weights form a band.
    """
    shape = p.shape()
    if len(shape) != 4:
        return False
    size, channels = int(p.attributes["size"]), shape[1]
    alpha, beta = (float(p.attributes.get(n, d)) for n, d in (("alpha", 1e-4), ("beta", 0.75)))
    before, behind = (size - 1) // 2, size // 2
    place = np.arange(channels)
    near = (place >= place[:, None] - before) & (place <= place[:, None] + behind)
    weights = (near * np.float32(alpha / size)).astype(np.float32)[:, :, None, None]
    bias = np.full(channels, p.attributes.get("bias", 1.0), np.float32)
    squared = p.node("Mul", p.inputs[0], p.inputs[0])
    inputs = (squared, p.constant(weights), p.constant(bias))
    base = p.node("Conv", *inputs, kernel_shape=[1, 1])
    factor = p.node("Exp", p.node("Mul", p.node("Log", base), p.number(-beta)))
    p.node("Mul", p.inputs[0], factor, output=p.outputs[0])
    return True
