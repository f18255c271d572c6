"""CUMSUM: directions, axes, rescaling and sums that leave 32 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.c_batch import Case
from tests.ops.ladder import Oracle, Tolerance, climb
from tests.ops.samples import samples
from tests.tflite_builder import ModelBuilder, spec

SHAPES = [((6,), 0), ((2, 5, 3), 1), ((2, 5, 3), -1), ((2, 2, 3, 4), 0), ((1, 1), 1), ((1, 40), 1)]
SUMS = Tolerance(2e-6, 1e-5, "float32 additions that cancel")


def _case(
    dtype: str,
    shape: tuple[int, ...],
    axis: int,
    flags: tuple[bool, bool],
    rng: np.random.Generator,
    quant: tuple[tuple[float, int], tuple[float, int]] = ((0.05, -7), (0.3, 4)),
) -> Case:
    model = ModelBuilder()
    source, target = quant if dtype == "INT8" else ((None, 0), (None, 0))
    x = model.input("x", shape, dtype, *source)
    axes = model.const(np.int32(axis), "INT32")
    options = {"exclusive": flags[0], "reverse": flags[1]}
    model.output(*model.op("CUMSUM", [x, axes], [spec(shape, dtype, *target)], options))
    name = f"CUMSUM {dtype} {shape} axis {axis} exclusive, reverse {flags} {quant}"
    return Case(name, model.build(), samples(rng, dtype, shape))


FLAGS = [(exclusive, reverse) for exclusive in (False, True) for reverse in (False, True)]


@pytest.mark.parametrize(
    ("dtype", "oracle"), [("INT8", "tflm"), ("FLOAT32", "tflm"), ("INT32", "litert")]
)
def test_directions(dtype: str, oracle: Oracle, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [_case(dtype, shape, axis, f, rng) for shape, axis in SHAPES for f in FLAGS]
    climb(cases, tmp_path, tolerance=SUMS, oracle=oracle)


def test_rescaling(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    quants = [
        ((0.05, -128), (0.05, 127)),
        ((0.05, 127), (0.8, -128)),
        ((0.05, 0), (1e-3, 0)),
        ((0.05, 3), (1e4, 0)),
    ]
    cases = [_case("INT8", (3, 30), 1, f, rng, q) for q in quants for f in FLAGS]
    climb(cases, tmp_path)
