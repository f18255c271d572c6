"""PRELU and ADD_N."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.c_batch import Case
from tests.ops.element_cases import binary_case, every_byte, spread
from tests.ops.ladder import climb
from tests.tflite_builder import ModelBuilder, spec

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((1, 4, 4, 3), (1, 1, 3)),
    ((1, 4, 4, 3), (1, 4, 4, 3)),
    ((1, 4, 4, 3), (1,)),
    ((1, 1, 1, 1), (1,)),
]


@pytest.mark.parametrize("dtype", ["INT8", "INT16", "FLOAT32"])
def test_prelu(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(18)
    types = (dtype, "INT8" if dtype == "INT16" else dtype, dtype)
    quants = [
        ((0.05, -3), (0.01, 5), (0.05, 4)),
        ((0.05, 127), (0.09, -128), (0.11, -128)),
        ((0.02, -128), (0.003, 127), (0.013, 127)),
    ]
    if dtype == "INT16":
        quants = [((0.0005, 0), (0.01, 5), (0.0005, 0)), ((0.001, 0), (0.09, -128), (0.0003, 0))]
    cases = []
    for shape, alpha_shape in SHAPES:
        for quant in quants:
            x, alpha = spread(dtype, shape, rng), spread(types[1], alpha_shape, rng)
            cases += [binary_case("PRELU", [x, alpha], types, quant, None, c) for c in (None, 1)]
    if dtype == "INT8":
        pair = [every_byte("INT8").reshape(1, 256, 1), every_byte("INT8").reshape(1, 1, 256)]
        cases += [binary_case("PRELU", pair, types, quant) for quant in quants]
    climb(cases, tmp_path)


def _sum_case(
    dtype: str, inputs: int, shape: tuple[int, ...], quant: tuple[tuple[float, int], ...]
) -> Case:
    rng = np.random.default_rng(inputs)
    source, target = quant if dtype == "INT8" else ((None, 0), (None, 0))
    model = ModelBuilder()
    handles = [model.input(f"x{n}", shape, dtype, *source) for n in range(inputs)]
    model.output(*model.op("ADD_N", handles, [spec(shape, dtype, *target)]))
    sample = [spread(dtype, shape, rng) for _ in range(inputs)]
    return Case(f"ADD_N {dtype} x{inputs} {shape} {quant}", model.build(), [sample])


def test_add_n(tmp_path: Path) -> None:
    quants = [((0.05, 0), (0.11, 3)), ((0.05, -3), (0.2, 4)), ((0.3, 127), (0.9, -128))]
    cases = [
        _sum_case(dtype, inputs, shape, quant)
        for dtype in ("INT8", "FLOAT32")
        for inputs in (2, 3, 7, 14)
        for shape in ((1, 4, 5), (1,))
        for quant in (quants if dtype == "INT8" else quants[:1])
    ]
    climb(cases, tmp_path)
