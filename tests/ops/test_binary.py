"""Arithmetic of two operands: broadcasting, constants, saturation, zero points, activations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from tests.c_batch import Case, compile_case
from tests.ops.element_cases import binary_case, every_byte, spread
from tests.ops.ladder import climb
from tests.tflite_builder import ModelBuilder, spec

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


def _cases(op: str, dtype: str, *, fused: bool, one_scale: bool = False) -> list[Case]:
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


@pytest.mark.parametrize("op", ["SUB", "MUL"])
@pytest.mark.parametrize("dtype", ["INT8", "INT16", "INT32", "FLOAT32"])
def test_sub_and_mul(op: str, dtype: str, tmp_path: Path) -> None:
    cases = _cases(op, dtype, fused=True)
    if dtype == "INT8":
        pair = [every_byte("INT8").reshape(256, 1), every_byte("INT8").reshape(1, 256)]
        options = {"fused_activation_function": "NONE"}
        cases += [binary_case(op, pair, (dtype,) * 3, quant, options) for quant in QUANTS["INT8"]]
    climb(cases, tmp_path)


def test_sub_with_random_scales(tmp_path: Path) -> None:
    """Ratios of scales are rounded to float32 on the way, which a few fixed scales may not show."""
    rng = np.random.default_rng(14)
    cases = []
    for _ in range(24):
        scales = np.exp(rng.uniform(-7, 0, 3))
        quant = [(float(s), int(rng.integers(-128, 128))) for s in scales]
        operands = [spread("INT8", (1, 500), rng) for _ in range(2)]
        for op in ("SUB", "MUL"):
            cases.append(binary_case(op, operands, ("INT8",) * 3, quant))
    climb(cases, tmp_path)


@pytest.mark.parametrize("op", ["MAXIMUM", "MINIMUM"])
@pytest.mark.parametrize("dtype", ["INT8", "INT16", "INT32", "INT64", "FLOAT32"])
def test_extremes(op: str, dtype: str, tmp_path: Path) -> None:
    climb(_cases(op, dtype, fused=False, one_scale=True), tmp_path)


def test_extremes_of_two_scales_are_refused() -> None:
    operands = [np.zeros(3, np.int8)] * 2
    case = binary_case("MAXIMUM", operands, ("INT8",) * 3, QUANTS["INT8"][0])
    with pytest.raises(UnsupportedError, match="different scales"):
        compile_case(case, "x")


@pytest.mark.parametrize("dtype", ["INT8", "INT16", "INT32", "FLOAT32"])
def test_squared_difference(dtype: str, tmp_path: Path) -> None:
    cases = _cases("SQUARED_DIFFERENCE", dtype, fused=False)
    if dtype == "INT8":
        pair = [every_byte("INT8").reshape(256, 1), every_byte("INT8").reshape(1, 256)]
        cases += [binary_case("SQUARED_DIFFERENCE", pair, (dtype,) * 3, q) for q in QUANTS["INT8"]]
    climb(cases, tmp_path)


@pytest.mark.parametrize("op", ["LOGICAL_AND", "LOGICAL_OR"])
def test_logical(op: str, tmp_path: Path) -> None:
    climb(_cases(op, "BOOL", fused=False), tmp_path)


def test_operands_that_do_not_broadcast_are_named() -> None:
    model = ModelBuilder()
    a, b = model.input("a", (3,), "FLOAT32"), model.input("b", (4,), "FLOAT32")
    model.output(*model.op("MUL", [a, b], [spec((4,), "FLOAT32")]))
    with pytest.raises(UnsupportedError, match=r"shapes \[3\] and \[4\] do not broadcast"):
        compile_case(Case("x", model.build(), []), "x")
