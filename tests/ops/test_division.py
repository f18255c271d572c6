"""DIV, FLOOR_DIV and FLOOR_MOD, zero divisors and what TFLM leaves undefined among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.frontends.tflite import load_tflite
from edgepack.ops.evaluate import evaluate
from tests.ops.element_cases import binary_case, every_byte, spread
from tests.ops.ladder import climb

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


def test_div(tmp_path: Path) -> None:
    rng = np.random.default_rng(15)
    cases = []
    for a, b in SHAPES:
        for activation in ACTIVATIONS:
            options = {"fused_activation_function": activation}
            numerator = spread("FLOAT32", a, rng)
            divisor = np.abs(spread("FLOAT32", b, rng)) + 0.1
            divisor = (divisor * rng.choice([-1, 1], b)).astype(np.float32)
            cases.append(binary_case("DIV", [numerator, divisor], ("FLOAT32",) * 3, None, options))
        numerator = spread("INT32", a, rng)
        whole = (rng.integers(1, 1000, b) * rng.choice([-1, 1], b)).astype(np.int32)
        cases.append(binary_case("DIV", [numerator, whole], ("INT32",) * 3))
    climb(cases, tmp_path)


def test_div_int8_where_tflm_is_defined(tmp_path: Path) -> None:
    """scale / (scale * scale) of 64 and more keeps every shift of TFLM below 32."""
    cases = []
    for quant in [
        ((0.05, 0), (0.04, 0), (0.01, 0)),
        ((0.05, -128), (0.05, -128), (1 / 128, -128)),
        ((0.3, 127), (0.02, 127), (0.1, -5)),
        ((0.11, 5), (0.013, -77), (0.09, 127)),
    ]:
        divisors = [v for v in range(-128, 128) if v != quant[1][1]]
        pair = [every_byte("INT8").reshape(256, 1), np.array(divisors, np.int8)]
        cases += [
            binary_case("DIV", pair, ("INT8",) * 3, quant, {"fused_activation_function": act})
            for act in ("NONE", "RELU6")
        ]
    climb(cases, tmp_path)


def test_div_int8_is_near_the_real_quotient_where_tflm_is_not(tmp_path: Path) -> None:
    quant = ((0.01, 3), (0.9, -7), (0.03, 9))
    a = every_byte("INT8").reshape(256, 1)
    b = np.array([v for v in range(-128, 128) if v != -7], np.int8).reshape(1, 255)
    case = binary_case("DIV", [a, b], ("INT8",) * 3, quant)
    climb([case], tmp_path, oracle="none")
    real = (a - 3.0) * 0.01 / ((b + 7.0) * 0.9)
    module = load_tflite(case.model, name="div")
    got = evaluate(module, case.samples[0])[module.main.outputs[0]]
    assert np.abs(got - np.clip(real / 0.03 + 9, -128, 127)).max() <= 0.51  # half, and fixed point


def test_division_by_zero_is_defined(tmp_path: Path) -> None:
    low, high = -(2**31), 2**31 - 1
    a = np.array([5, 0, -5, low, high, low], np.int32)
    b = np.array([0, 0, 0, -1, -1, 0], np.int32)
    cases = [binary_case(op, [a, b], ("INT32",) * 3) for op in ("DIV", "FLOOR_DIV", "FLOOR_MOD")]
    x = every_byte("INT8").reshape(256, 1)
    quant = ((0.05, 3), (0.05, -7), (0.03, 9))
    cases.append(binary_case("DIV", [x, np.array([-7], np.int8)], ("INT8",) * 3, quant))
    real = np.array([1, 0, -1, np.inf], np.float32)
    zero = np.zeros(1, np.float32)
    cases += [binary_case(op, [real, zero], ("FLOAT32",) * 3) for op in ("FLOOR_DIV", "FLOOR_MOD")]
    climb(cases, tmp_path, oracle="none")
    climb([binary_case("DIV", [real, zero], ("FLOAT32",) * 3)], tmp_path)


@pytest.mark.parametrize("op", ["FLOOR_DIV", "FLOOR_MOD"])
def test_floor_div_and_mod(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(16)
    floats, integers = [], []
    for a, b in SHAPES:
        sign = rng.choice([-1, 1], b)
        divisor = ((np.abs(spread("FLOAT32", b, rng)) + 0.1) * sign).astype(np.float32)
        floats.append(binary_case(op, [spread("FLOAT32", a, rng, 50), divisor], ("FLOAT32",) * 3))
        whole = (rng.integers(1, 60, b) * sign).astype(np.int32)
        small = rng.integers(-1000, 1000, a).astype(np.int32)
        integers.append(binary_case(op, [small, whole], ("INT32",) * 3))
    tenths = np.arange(-30, 31, dtype=np.float32) / np.float32(10)
    floats.append(binary_case(op, [tenths, np.array([0.1], np.float32)], ("FLOAT32",) * 3))
    climb(floats, tmp_path)
    climb(integers, tmp_path, oracle="litert")
