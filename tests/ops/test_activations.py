"""Activations that are operators of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from tests.c_batch import Case, compile_case
from tests.ops.element_cases import every_byte, spread, unary_case
from tests.ops.ladder import climb

SHAPES = [(), (1, 1, 1, 1), (2, 3, 1, 2, 5), (7, 33)]
FLOATS = ("FLOAT32", "FLOAT32")
BYTES = ("INT8", "INT8")
WORDS = ("INT16", "INT16")
# (input, output) scale and zero point: equal, other scale, extreme zero points, saturating, tiny
QUANTS = [
    ((0.05, -3), (0.05, -3)),
    ((0.05, -128), (0.03, 127)),
    ((0.11, 127), (0.07, -128)),
    ((0.9, 0), (0.013, 5)),
    ((0.0011, -20), (0.31, 100)),
]


def _options(op: str) -> list[dict[str, object] | None]:
    if op == "LEAKY_RELU":
        return [{"alpha": a} for a in (0.1, 0.0, 1.7, -0.3)]
    if op == "GELU":
        return [{"approximate": a} for a in (False, True)]
    return [None]


@pytest.mark.parametrize(
    "op", ["RELU", "RELU6", "LEAKY_RELU", "ELU", "HARD_SWISH", "LOGISTIC", "TANH"]
)
def test_float(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    cases = [
        unary_case(op, spread("FLOAT32", shape, rng), FLOATS, options=options)
        for shape in SHAPES
        for options in _options(op)
    ]
    fine = np.linspace(-20, 20, 4001, dtype=np.float32)
    tiny = np.float32(10.0) ** np.arange(-40, 3, dtype=np.float32)
    edges = np.array([np.inf, -np.inf, np.nan, 200, -200], np.float32)
    cases += [
        unary_case(op, x, FLOATS, options=_options(op)[0]) for x in (fine, fine / 16, tiny, -tiny)
    ]
    if op != "HARD_SWISH":  # 0 * infinity and NaN pass through std::min in an order of its own
        cases.append(unary_case(op, edges, FLOATS, options=_options(op)[0]))
    climb(cases, tmp_path)


@pytest.mark.parametrize("op", ["RELU_N1_TO_1", "GELU"])
def test_float_of_litert(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    inputs = [spread("FLOAT32", shape, rng) for shape in SHAPES if shape]
    inputs += [np.linspace(-12, 12, 2401, dtype=np.float32)]
    cases = [unary_case(op, x, FLOATS, options=options) for x in inputs for options in _options(op)]
    climb(cases, tmp_path, oracle="litert")


@pytest.mark.parametrize("op", ["RELU", "LEAKY_RELU", "ELU"])
def test_int8_every_value(op: str, tmp_path: Path) -> None:
    cases = [
        unary_case(op, every_byte("INT8"), BYTES, quant, options)
        for quant in QUANTS
        for options in _options(op)
    ]
    climb(cases, tmp_path)


@pytest.mark.parametrize("op", ["RELU_N1_TO_1", "GELU"])
def test_int8_every_value_of_litert(op: str, tmp_path: Path) -> None:
    cases = [
        unary_case(op, every_byte("INT8"), BYTES, quant, options)
        for quant in QUANTS
        for options in _options(op)
    ]
    climb(cases, tmp_path, oracle="litert")


def test_relu6_of_integers(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    cases = [
        unary_case("RELU6", every_byte("INT8"), BYTES, (q, q))
        for q in ((0.05, -128), (0.05, 127), (0.02, -3), (0.0236, -128))
    ]
    cases += [
        unary_case("RELU6", spread("INT16", (5, 40), rng), WORDS, (q, q))
        for q in ((0.0005, 0), (0.0001, 0))
    ]
    climb(cases, tmp_path)


def test_relu6_of_two_scales_is_refused() -> None:
    case = unary_case("RELU6", every_byte("INT8"), BYTES, ((0.05, 0), (0.0236, -128)))
    with pytest.raises(UnsupportedError, match="different scales"):
        compile_case(case, "x")


def test_int16_relu(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    x = spread("INT16", (1, 7, 40), rng)
    cases: list[Case] = []
    for op in ("RELU", "LEAKY_RELU"):
        for a, b in ((0.001, 0.001), (0.001, 0.0003), (0.0002, 0.09)):
            cases += [
                unary_case(op, x, WORDS, ((a, 0), (b, 0)), options) for options in _options(op)
            ]
    climb(cases, tmp_path)


def test_hard_swish_int8_every_value(tmp_path: Path) -> None:
    scales = [(0.05, 0.05), (0.3, 0.3), (0.002, 0.0019), (0.9, 0.5), (0.0004, 0.0004), (0.05, 0.4)]
    zeros = [(-3, 4), (-128, -128), (127, -128), (0, 127)]
    cases = [
        unary_case("HARD_SWISH", every_byte("INT8"), BYTES, ((a, za), (b, zb)))
        for a, b in scales
        for za, zb in zeros
    ]
    climb(cases, tmp_path)
