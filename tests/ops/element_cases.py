"""One-op models with one or two operands, and inputs that reach all of a type or its ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgepack.types import Array
from tests.c_batch import Case
from tests.tflite_builder import ModelBuilder, spec

QUANTIZED = ("INT8", "INT16", "UINT8")

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((1, 4, 4, 3), (1, 4, 4, 3)),
    ((1, 4, 4, 3), (3,)),
    ((1,), (1, 2, 2, 5)),
    ((2, 1, 3), (1, 4, 1)),
    ((1, 1, 1, 1), (1, 1, 1, 1)),
    ((), (2, 3)),
    ((2, 3, 1, 2, 5), (1, 3, 4, 1, 5)),
    ((2, 1, 3, 1, 2, 1), (1, 2, 1, 3, 1, 2)),
]
ACTIVATIONS = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]
# scale and zero point of both operands and the output
QUANTS = {
    "INT8": [
        ((0.05, -3), (0.11, 7), (0.13, 4)),
        ((0.05, -128), (0.04, 127), (0.031, -128)),
        ((0.3, 127), (0.3, -128), (0.007, 127)),
        ((0.0009, 0), (0.8, 20), (0.5, -60)),
    ],
    "INT16": [
        ((0.0005, 0), (0.0011, 0), (0.0013, 0)),
        ((0.0005, 0), (0.0005, 0), (0.0001, 0)),
        ((0.003, 0), (0.00002, 0), (0.002, 0)),
    ],
}


def spread(dtype: str, shape: tuple[int, ...], rng: np.random.Generator, sigma: float = 4) -> Array:
    """Random values of a TFLite type, the ends of its range among them."""
    count = int(np.prod(shape))
    if dtype == "FLOAT32":
        values = rng.normal(0, sigma, count).astype(np.float32)
        values[: min(count, 2)] = (0.0, -0.0)[: min(count, 2)]
        return values.reshape(shape)
    if dtype == "BOOL":
        return rng.integers(0, 2, shape).astype(np.bool_)
    info = np.iinfo(dtype.lower())
    flat = rng.integers(info.min, info.max, count, endpoint=True, dtype=info.dtype)
    flat[: min(count, 2)] = (info.min, info.max)[: min(count, 2)]
    return flat.reshape(shape)


def every_byte(dtype: str, zero_point: int = 0) -> Array:
    """All 256 values of INT8 or UINT8, in a shape [1, 16, 16]."""
    return np.arange(256, dtype=np.uint8).view(dtype.lower()).reshape(1, 16, 16)


def unary_case(
    op: str,
    x: Array,
    dtypes: tuple[str, str],
    quant: tuple[tuple[float, int], tuple[float, int]] | None = None,
    options: Mapping[str, object] | None = None,
) -> Case:
    """A one-op model with one input and an output of the same shape.

    Args:
        quant: (scale, zero point) of input and output; ignored for types that have none.
    """
    parts = [
        (quant[i] if quant is not None and dtype in (*QUANTIZED, "INT32") else (None, 0))
        for i, dtype in enumerate(dtypes)
    ]
    model = ModelBuilder()
    source = model.input("x", x.shape, dtypes[0], *parts[0])
    model.output(*model.op(op, [source], [spec(x.shape, dtypes[1], *parts[1])], options))
    return Case(f"{op} {dtypes} {x.shape} {quant} {options}", model.build(), [[x]])


def binary_case(
    op: str,
    operands: Sequence[Array],
    dtypes: tuple[str, str, str],
    quant: Sequence[tuple[float, int]] | None = None,
    options: Mapping[str, object] | None = None,
    constant: int | None = None,
) -> Case:
    """A one-op model with two broadcast operands, one of which may be a constant.

    Args:
        quant: (scale, zero point) of both operands and the output.
    """
    model = ModelBuilder()
    handles = []
    for slot, array in enumerate(operands):
        part = quant[slot] if quant is not None and dtypes[slot] in QUANTIZED else (None, 0)
        if slot == constant:
            handles.append(model.const(array, dtypes[slot], *part))
        else:
            handles.append(model.input(f"x{slot}", array.shape, dtypes[slot], *part))
    shape = np.broadcast_shapes(*(a.shape for a in operands))
    part = quant[2] if quant is not None and dtypes[2] in QUANTIZED else (None, 0)
    model.output(*model.op(op, handles, [spec(shape, dtypes[2], *part)], options))
    sample = [a for slot, a in enumerate(operands) if slot != constant]
    shapes = "x".join(str(a.shape) for a in operands)
    return Case(
        f"{op} {dtypes} {shapes} {quant} {options} const {constant}", model.build(), [sample]
    )


def broadcast_cases(op: str, dtype: str, *, fused: bool, one_scale: bool = False) -> list[Case]:
    """Operands of every pair of SHAPES, with fused activations, and constants in both places."""
    rng = np.random.default_rng(13)
    cases = []
    quants = QUANTS.get(dtype, [None])
    for number, (a, b) in enumerate(SHAPES):
        for activation in ACTIVATIONS if fused and number < 1 else ["NONE"]:
            quant = quants[number % len(quants)]
            if quant is not None and one_scale:
                quant = (quant[0],) * 3
            operands = [spread(dtype, shape, rng) for shape in (a, b)]
            options = {"fused_activation_function": activation} if fused else None
            cases.append(binary_case(op, operands, (dtype,) * 3, quant, options))
    for constant in (0, 1):
        quant = quants[0]
        if quant is not None and one_scale:
            quant = (quant[0],) * 3
        operands = [spread(dtype, shape, rng) for shape in ((1, 3, 5), (5,))]
        operands = operands[::-1] if constant == 0 else operands
        cases.append(binary_case(op, operands, (dtype,) * 3, quant, None, constant))
    return cases
