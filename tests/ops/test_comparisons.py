"""EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from edgepack.types import Array
from tests.c_batch import compile_case
from tests.ops.element_cases import binary_case, every_byte, spread
from tests.ops.ladder import climb

OPS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]
SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((1, 4, 4, 3), (1, 4, 4, 3)),
    ((1, 4, 4, 3), (3,)),
    ((), (2, 3)),
    ((2, 1, 3), (1, 4, 1)),
    ((1,), (4,)),
]


def _near(a: Array, b_shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Operands that are equal about half of the time."""
    return rng.choice(a.reshape(-1), b_shape).astype(a.dtype)


@pytest.mark.parametrize("dtype", ["INT32", "INT64", "FLOAT32", "BOOL"])
def test_numbers(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(17)
    cases = []
    for op in OPS[:2] if dtype == "BOOL" else OPS:
        for number, (a, b) in enumerate(SHAPES):
            first = spread(dtype, a, rng)
            second = _near(first, b, rng) if number % 2 else spread(dtype, b, rng)
            cases.append(binary_case(op, [first, second], (dtype, dtype, "BOOL")))
        operands = [spread(dtype, (2, 5), rng), spread(dtype, (5,), rng)]
        cases.append(binary_case(op, operands, (dtype, dtype, "BOOL"), None, None, 1))
    if dtype == "FLOAT32":
        odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
        pair = [odd.reshape(5, 1), odd]
        cases += [binary_case(op, pair, (dtype, dtype, "BOOL")) for op in OPS]
    climb(cases, tmp_path)


def test_int8_every_pair(tmp_path: Path) -> None:
    """Equal and unequal scales; below 1/256 neighbouring bytes count as equal."""
    quants = [
        ((0.05, -3), (0.05, -3)),
        ((0.05, -3), (0.05, 9)),
        ((0.05, -128), (0.11, 127)),
        ((0.0007, 3), (0.0007, 3)),
        ((0.9, 0), (0.003, 0)),
    ]
    pair = [every_byte("INT8").reshape(256, 1), every_byte("INT8").reshape(1, 256)]
    cases = [
        binary_case(op, pair, ("INT8", "INT8", "BOOL"), [*quant, (1.0, 0)])
        for op in OPS
        for quant in quants
    ]
    climb(cases, tmp_path)


def test_a_scale_of_one_is_refused() -> None:
    operands = [np.zeros(3, np.int8)] * 2
    case = binary_case("LESS", operands, ("INT8", "INT8", "BOOL"), [(1.0, 0), (0.5, 0), (1.0, 0)])
    with pytest.raises(UnsupportedError, match="only with scales below 1"):
        compile_case(case, "x")
