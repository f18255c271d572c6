"""ARG_MAX and ARG_MIN: axes, ties, types of input and index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.samples import samples
from tests.tflite_builder import ModelBuilder, spec

SHAPES = [((1, 10), -1), ((2, 3, 4, 5), 2), ((2, 3, 4), 0), ((6,), 0), ((1, 1), 1), ((3, 1, 4), 1)]


def _case(
    op: str, dtype: str, index: str, shape: tuple[int, ...], axis: int, rng: np.random.Generator
) -> Case:
    model = ModelBuilder()
    x = model.input("x", shape, dtype, 0.1 if dtype in ("INT8", "INT16") else None)
    dim = axis % len(shape)
    out = shape[:dim] + shape[dim + 1 :]
    options = {"output_type": index}
    operands = [x, model.const(np.int32(axis), "INT32")]
    model.output(*model.op(op, operands, [spec(out, index)], options))
    runs = samples(rng, dtype, shape)
    # few different values, so that most lines have ties
    few = rng.integers(-1, 2, shape).astype(runs[0][0].dtype)
    return Case(f"{op} {dtype} {shape} axis {axis}", model.build(), [*runs, [few]])


@pytest.mark.parametrize("op", ["ARG_MAX", "ARG_MIN"])
def test_tflm_types(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    types = ("INT8", "FLOAT32")
    cases = [_case(op, t, "INT32", shape, axis, rng) for t in types for shape, axis in SHAPES]
    climb(cases, tmp_path)


@pytest.mark.parametrize("op", ["ARG_MAX", "ARG_MIN"])
def test_litert_types(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    types = [("INT8", "INT64"), ("FLOAT32", "INT64"), ("INT32", "INT32"), ("INT32", "INT64")]
    cases = [_case(op, *t, shape, axis, rng) for t in types for shape, axis in SHAPES]
    climb(cases, tmp_path, oracle="litert")


@pytest.mark.parametrize("op", ["ARG_MAX", "ARG_MIN"])
def test_int16(op: str, tmp_path: Path) -> None:
    # Neither interpreter has int16, which 16x8 models need: numpy alone says what is right.
    rng = np.random.default_rng(3)
    cases = [_case(op, "INT16", "INT32", shape, axis, rng) for shape, axis in SHAPES]
    climb(cases, tmp_path, oracle="none")
