"""SVDF: int8 with int8 and int16 state, float, ranks, batches, zero points; several steps each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.tflite_builder import ModelBuilder, spec

# batch, inputs, units, rank, memory
SHAPES = [(1, 4, 3, 1, 5), (2, 3, 4, 2, 3), (1, 1, 1, 1, 1), (3, 2, 1, 4, 2)]
STEPS = 6


def svdf_model(
    kind: str,
    sizes: tuple[int, int, int, int, int],
    rng: np.random.Generator,
    *,
    bias: bool = True,
    activation: str = "RELU",
    is_variable: bool = True,
) -> bytes:
    batch, inputs, units, rank, memory = sizes
    filters = units * rank
    model = ModelBuilder()
    if kind == "FLOAT32":
        x = model.input("x", (batch, inputs), "FLOAT32")
        feature = model.const(rng.normal(size=(filters, inputs)), "FLOAT32")
        time = model.const(rng.normal(size=(filters, memory)), "FLOAT32")
        b = model.const(rng.normal(size=units), "FLOAT32") if bias else None
        state = model.variable((batch, filters * memory), "FLOAT32")
        out = spec((batch, units), "FLOAT32")
    else:
        zero = int(rng.integers(-128, 128)) if kind == "INT8" else 0
        info = np.iinfo(kind.lower())
        state_scale, time_scale = (0.06, 0.012) if kind == "INT8" else (0.0004, 0.00005)
        x = model.input("x", (batch, inputs), "INT8", 0.05, int(rng.integers(-128, 128)))
        feature = model.const(rng.integers(-127, 128, (filters, inputs)), "INT8", 0.01)
        time = model.const(
            rng.integers(info.min + 1, info.max, (filters, memory)), kind, time_scale
        )
        values = rng.integers(-500, 500, units)
        b = model.const(values, "INT32", state_scale * time_scale) if bias else None
        state = model.variable((batch, filters * memory), kind, state_scale, zero)
        out = spec((batch, units), "INT8", 0.15, int(rng.integers(-128, 128)))
    if not is_variable:
        state = model.input("state", (batch, filters * memory), kind, 1.0)
    options = {"rank": rank, "fused_activation_function": activation}
    model.output(*model.op("SVDF", [x, feature, time, b, state], [out], options))
    return model.build()


def _case(
    kind: str, sizes: tuple[int, int, int, int, int], seed: int, *, bias: bool = True
) -> Case:
    rng = np.random.default_rng(seed)
    model = svdf_model(kind, sizes, rng, bias=bias, activation=("RELU", "NONE", "RELU6")[seed % 3])
    shape = sizes[:2]
    steps = [
        [rng.normal(0, 2, shape).astype(np.float32)]
        if kind == "FLOAT32"
        else [rng.integers(-128, 128, shape).astype(np.int8)]
        for _ in range(STEPS)
    ]
    return Case(f"{kind} {sizes} seed {seed} bias {bias}", model, steps)


@pytest.mark.parametrize("kind", ["INT8", "INT16", "FLOAT32"])
def test_svdf(kind: str, tmp_path: Path) -> None:
    climb([_case(kind, sizes, seed) for sizes in SHAPES for seed in (1, 2, 3)], tmp_path)


def test_svdf_without_bias(tmp_path: Path) -> None:
    """TFLM's kernel reads the missing bias, so numpy and C only check each other."""
    cases = [_case(kind, SHAPES[1], 4, bias=False) for kind in ("INT8", "INT16", "FLOAT32")]
    climb(cases, tmp_path, oracle="none")


def test_the_state_must_be_a_variable() -> None:
    data = svdf_model("INT8", SHAPES[0], np.random.default_rng(1), is_variable=False)
    with pytest.raises(UnsupportedError, match="not a variable tensor"):
        build_program(load_tflite(data), Isa())
