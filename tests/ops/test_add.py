"""ADD: broadcasting, saturation, activations and extreme zero points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.tflite_builder import ModelBuilder, spec

SHAPES = [
    ((1, 4, 4, 3), (1, 4, 4, 3)),
    ((1, 4, 4, 3), (3,)),
    ((1,), (1, 2, 2, 5)),
    ((2, 1, 3), (1, 4, 1)),
    ((1, 1, 1, 1), (1, 1, 1, 1)),
    ((2, 3, 1, 2, 5), (1, 3, 4, 1, 5)),
]


def _case(dtype: str, number: int, activation: str, rng: np.random.Generator) -> Case:
    a, b = SHAPES[number]
    info = np.iinfo(dtype.lower()) if dtype != "FLOAT32" else None
    zeros = (
        int(rng.integers(-128, 128)),
        int(rng.integers(-128, 128)),
        int(rng.integers(-128, 128)),
    )
    if dtype != "INT8":
        zeros = (0, 0, 0)
    scales = (0.05, 0.11, 0.13) if dtype in ("INT8", "INT16") else (None, None, None)
    model = ModelBuilder()
    x = model.input("x", a, dtype, scales[0], zeros[0])
    y = model.input("y", b, dtype, scales[1], zeros[1])
    out = np.broadcast_shapes(a, b)
    z = model.op(
        "ADD",
        [x, y],
        [spec(out, dtype, scales[2], zeros[2])],
        {"fused_activation_function": activation, "pot_scale_int16": False},
    )
    model.output(*z)
    samples = []
    for _ in range(2):
        if info is None:
            sample = [rng.normal(0, 4, s).astype(np.float32) for s in (a, b)]
        else:
            sample = [
                rng.integers(info.min, info.max, s, endpoint=True).astype(info.dtype)
                for s in (a, b)
            ]
        samples.append(sample)
    return Case(f"{dtype} {a}+{b} {activation} zp{zeros}", model.build(), samples)


@pytest.mark.parametrize("dtype", ["INT8", "INT16", "INT32", "FLOAT32"])
def test_add(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    activations = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"] if dtype != "INT32" else ["NONE"]
    cases = [_case(dtype, n, act, rng) for n in range(len(SHAPES)) for act in activations]
    climb(cases, tmp_path)
