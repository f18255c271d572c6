"""Arithmetic of one operand: roots, powers, circular functions, rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from tests.c_batch import compile_case
from tests.ops.element_cases import every_byte, spread, unary_case
from tests.ops.ladder import climb

SHAPES = [(1,), (), (1, 1, 1, 1), (3, 5), (2, 3, 1, 2, 5)]
ANY_SIGN = ["ABS", "NEG", "SQUARE", "EXP", "SIN", "COS", "FLOOR", "CEIL", "ROUND"]
POSITIVE = ["SQRT", "RSQRT", "LOG"]
HALVES = np.arange(-6, 6.25, 0.25, dtype=np.float32)
BEYOND_INT32 = np.array([3e9, -3e9, 8388609.0, -8388607.5, 0.49999997, -0.49999997], np.float32)


def test_float_against_tflm(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = [
        unary_case(op, spread("FLOAT32", shape, rng), ("FLOAT32", "FLOAT32"))
        for op in ANY_SIGN
        for shape in SHAPES
    ]
    cases += [
        unary_case(op, np.abs(spread("FLOAT32", shape, rng)) + 0.01, ("FLOAT32", "FLOAT32"))
        for op in POSITIVE
        for shape in SHAPES
    ]
    cases += [
        unary_case(op, x, ("FLOAT32", "FLOAT32"))
        for op in ("FLOOR", "CEIL", "ROUND")
        for x in (HALVES, BEYOND_INT32)
    ]
    climb(cases, tmp_path)


def test_float_edges(tmp_path: Path) -> None:
    """Zero, infinities, NaN and numbers outside the domain come out as in TFLM."""
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, -1, 1e-40, 100, -200], np.float32)
    ops = ["ABS", "NEG", "SQUARE", "EXP", "FLOOR", "CEIL", "ROUND", *POSITIVE]
    climb([unary_case(op, x, ("FLOAT32", "FLOAT32")) for op in ops], tmp_path)


@pytest.mark.parametrize("op", ["ABS", "RSQRT"])
def test_int8_every_value(op: str, tmp_path: Path) -> None:
    quants = [
        ((0.05, -3), (0.05, 4)),
        ((0.05, -128), (0.11, 127)),
        ((0.9, 127), (0.013, -128)),
        ((0.0007, 0), (0.3, 0)),
    ]
    cases = []
    for quant in quants:
        x = every_byte("INT8")
        if op == "RSQRT":  # TFLM stops at a negative number
            x = np.maximum(x, quant[0][1]).astype(np.int8)
        cases.append(unary_case(op, x, ("INT8", "INT8"), quant))
    climb(cases, tmp_path)


def test_abs_int16(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    cases = [
        unary_case("ABS", spread("INT16", (4, 33), rng), ("INT16", "INT16"), ((a, 0), (b, 0)))
        for a, b in ((0.01, 0.01), (0.01, 0.02), (0.03, 0.0017))
    ]
    climb(cases, tmp_path)


@pytest.mark.parametrize("op", ["EXP", "LOG"])
def test_int8_tables_of_litert(op: str, tmp_path: Path) -> None:
    quants = [((0.05, -3), (0.05, 4)), ((0.02, -128), (0.02, -20)), ((0.1, 127), (0.004, -128))]
    cases = [unary_case(op, every_byte("INT8"), ("INT8", "INT8"), q) for q in quants]
    climb(cases, tmp_path, oracle="litert")


def test_int8_sqrt_of_litert(tmp_path: Path) -> None:
    quants = [
        ((0.05, -128), (0.03, -128)),
        ((0.11, -128), (0.013, -100)),
        ((0.007, -20), (0.004, 5)),
        ((0.3, -128), (0.03, -128)),
        ((0.01, -128), (0.01, -128)),
    ]
    cases = []
    for quant in quants:
        x = np.maximum(every_byte("INT8"), quant[0][1]).astype(np.int8)
        cases.append(unary_case("SQRT", x, ("INT8", "INT8"), quant))
    climb(cases, tmp_path, oracle="litert")


@pytest.mark.parametrize("dtype", ["INT32", "INT64"])
def test_neg_of_integers(dtype: str, tmp_path: Path) -> None:
    x = spread(dtype, (2, 9), np.random.default_rng(4))
    climb([unary_case("NEG", x, (dtype, dtype))], tmp_path, oracle="litert")


def test_logical_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    cases = [unary_case("LOGICAL_NOT", spread("BOOL", s, rng), ("BOOL", "BOOL")) for s in SHAPES]
    climb(cases, tmp_path)


def test_rsqrt_of_negative_int8_is_the_largest(tmp_path: Path) -> None:
    climb(
        [unary_case("RSQRT", every_byte("INT8"), ("INT8", "INT8"), ((0.1, 5), (0.02, 0)))],
        tmp_path,
        oracle="none",
    )


def test_a_type_without_a_kernel_is_named() -> None:
    case = unary_case("SIN", np.zeros(4, np.int8), ("INT8", "INT8"), ((0.1, 0), (0.1, 0)))
    with pytest.raises(UnsupportedError, match=r"SIN.*no C kernel for INT8"):
        compile_case(case, "x")
