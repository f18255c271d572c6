"""Activations, PRelu, Clip and powers (definitions: onnx Operators.md)."""

from __future__ import annotations

from edgepack.convert.onnx_parts.parts import Parts

_FLOAT = 1  # TensorProto.DataType


def _relu6_of(p: Parts, x: str) -> str:
    return p.node("Clip", x, p.number(0.0), p.number(6.0))


def hard_sigmoid(p: Parts) -> bool:
    """max(0, min(1, alpha * x + beta)) as RELU6: TFLite Micro has no bounds of 0 and 1."""
    alpha = float(p.attributes.get("alpha", 0.2))
    beta = float(p.attributes.get("beta", 0.5))
    x = p.node("Mul", p.inputs[0], p.number(6 * alpha))
    shifted = p.node("Add", x, p.number(6 * beta))
    p.node("Mul", _relu6_of(p, shifted), p.number(1 / 6), output=p.outputs[0])
    return True


def hard_swish(p: Parts) -> bool:
    """x * RELU6(x + 3) / 6, which becomes TFLite's HARD_SWISH."""
    gate = _relu6_of(p, p.node("Add", p.inputs[0], p.number(3.0)))
    product = p.node("Mul", p.inputs[0], gate)
    p.node("Mul", product, p.number(1 / 6), output=p.outputs[0])
    return True


def prelu(p: Parts) -> bool:
    """relu(x) + slope * (x - relu(x)) where the slope is not one per channel."""
    x, slope = p.shape(0), p.shape(1)
    if len(x) > 2 and len(slope) == len(x) - 1 and max(slope[1:], default=1) == 1:
        return False
    positive = p.node("Relu", p.inputs[0])
    negative = p.node("Sub", p.inputs[0], positive)
    p.node("Add", positive, p.node("Mul", negative, p.inputs[1]), output=p.outputs[0])
    return True


def clip(p: Parts) -> bool:
    """min(max(x, low), high), step by step where the bounds are missing or crossed."""
    if "min" in p.attributes or "max" in p.attributes:
        return False
    low, high = p.value(1), p.value(2)
    if not p.has(1) and not p.has(2):
        p.node("Identity", p.inputs[0], output=p.outputs[0])
        return True
    if low is None or high is None or float(low) <= float(high):
        return False
    raised = p.node("Max", p.inputs[0], p.inputs[1])
    p.node("Min", raised, p.inputs[2], output=p.outputs[0])
    return True


def power(p: Parts) -> bool:
    """Integer exponents of a float as floats."""
    if p.kind(0) != _FLOAT or p.kind(1) == _FLOAT:
        return False
    exponent = p.node("Cast", p.inputs[1], to=_FLOAT)
    p.node("Pow", p.inputs[0], exponent, output=p.outputs[0])
    return True


def modulo(p: Parts) -> bool:
    """The remainder of floats that has the dividend's sign: x - y * trunc(x / y)."""
    if not p.attributes.get("fmod", 0) or p.kind(0) != _FLOAT:
        return False
    quotient = p.node("Div", p.inputs[0], p.inputs[1])
    # trunc(q) = floor(relu(q)) - floor(relu(-q))
    up = p.node("Floor", p.node("Relu", quotient))
    down = p.node("Floor", p.node("Relu", p.node("Neg", quotient)))
    whole = p.node("Mul", p.node("Sub", up, down), p.inputs[1])
    p.node("Sub", p.inputs[0], whole, output=p.outputs[0])
    return True


def product(p: Parts) -> bool:
    """MatMul of two vectors; of a matrix and weights where axes have one size.

    onnx2tf tells axes apart by their sizes: rows and columns of the same number get exchanged.
    """
    x, y = p.shape(0), p.shape(1)
    if len(x) == len(y) == 1:
        terms = p.node("Mul", p.inputs[0], p.inputs[1])
        p.reduce("ReduceSum", terms, [0], keep=False, output=p.outputs[0])
        return True
    if p.value(1) is None or len(y) != 2 or len(x) != 3 or x[1] != x[2]:
        return False
    flat = p.node("Reshape", p.inputs[0], p.integers([x[0] * x[1], x[2]]))
    rows = p.node("MatMul", flat, p.inputs[1])
    p.node("Reshape", rows, p.integers([x[0], x[1], y[1]]), output=p.outputs[0])
    return True
