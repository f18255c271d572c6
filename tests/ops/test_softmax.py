"""SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION: what is computed along rows of the last dimension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from tests.c_batch import Case
from tests.ops.ladder import Tolerance, climb
from tests.ops.samples import constant, sample
from tests.oracles import InterpreterCrash, run_tflm
from tests.tflite_builder import ModelBuilder, spec

# expf and logf of two C libraries, and up to 300 additions in another order.
ROWS = Tolerance(4e-6, 2e-6, "libm and order of float32 additions")

SHAPES = [(1, 10), (1, 1), (3, 7), (2, 3, 4), (1, 2, 2, 5), (300,)]
SCALES = (0.1, 1e-3, 0.9, 30.0, 1e-6)

# op, input, output type -> the output's fixed scale and zero point
FIXED: dict[tuple[str, str, str], tuple[float | None, int]] = {
    ("SOFTMAX", "INT8", "INT8"): (1 / 256, -128),
    ("SOFTMAX", "INT8", "INT16"): (1 / 65536, -32768),
    ("SOFTMAX", "INT16", "INT16"): (1 / 32768, 0),
    ("SOFTMAX", "FLOAT32", "FLOAT32"): (None, 0),
    ("LOG_SOFTMAX", "INT8", "INT8"): (16 / 256, 127),
    ("LOG_SOFTMAX", "FLOAT32", "FLOAT32"): (None, 0),
    ("L2_NORMALIZATION", "INT8", "INT8"): (1 / 128, 0),
    ("L2_NORMALIZATION", "FLOAT32", "FLOAT32"): (None, 0),
}


def _case(
    kind: tuple[str, str, str],
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    scale: float = 0.1,
    zero_point: int = 5,
    options: dict[str, Any] | None = None,
    output: tuple[float | None, int] | None = None,
) -> Case:
    op, source, target = kind
    if options is None:
        options = {"beta": 1.0} if op == "SOFTMAX" else {}
    quant = (scale, zero_point if source == "INT8" else 0) if source != "FLOAT32" else (None, 0)
    model = ModelBuilder()
    x = model.input("x", shape, source, *quant)
    made = spec(shape, target, *(output or FIXED[kind]))
    model.output(*model.op(op, [x], [made], options))
    runs = [
        [sample(rng, source, shape)],
        [constant(source, shape, highest=True)],
        [constant(source, shape, highest=False)],
    ]
    close = rng.integers(-20, 21, shape)
    runs.append([close.astype(runs[0][0].dtype)])
    runs.append([np.where(close > 18, *(r[0] for r in runs[1:3])).astype(runs[0][0].dtype)])
    runs.append([np.full(shape, zero_point if source == "INT8" else 0).astype(runs[0][0].dtype)])
    return Case(f"{kind} {shape} {quant} {options}", model.build(), runs)


@pytest.mark.parametrize("op", ["SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"])
def test_shapes(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [_case(kind, shape, rng) for kind in FIXED if kind[0] == op for shape in SHAPES]
    climb(cases, tmp_path, tolerance=ROWS)


@pytest.mark.parametrize("op", ["SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"])
def test_scales_and_zero_points(op: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = [
        _case(kind, (2, 40), rng, scale=scale, zero_point=zero_point)
        for kind in FIXED
        if kind[0] == op and kind[1] != "FLOAT32"
        for scale in SCALES
        for zero_point in (-128, 127)
    ]
    climb(cases, tmp_path)


def test_beta(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    kinds = [kind for kind in FIXED if kind[0] == "SOFTMAX"]
    cases = [_case(k, (2, 9), rng, options={"beta": b}) for k in kinds for b in (0.3, 1.7, 10.0)]
    climb(cases, tmp_path, tolerance=ROWS)


def test_every_entry_of_the_int16_tables(tmp_path: Path) -> None:
    """Rows of two, so that the difference walks over the whole table of exp()."""
    model = ModelBuilder()
    scale = 10.0 / 65535  # differences count single table positions
    x = model.input("x", (16384, 2), "INT16", scale)
    made = spec((16384, 2), "INT16", 1 / 32768)
    model.output(*model.op("SOFTMAX", [x], [made], {"beta": 1.0}))
    low = np.arange(-32768, 32768, 4)
    top = np.full_like(low, 32767)
    runs = [[np.stack([top, low + k], axis=1).astype(np.int16)] for k in range(4)]
    climb([Case("all differences", model.build(), runs)], tmp_path)


def test_long_rows_of_equal_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    kinds = [
        ("SOFTMAX", "INT8", "INT16"),
        ("LOG_SOFTMAX", "INT8", "INT8"),
        ("L2_NORMALIZATION", "INT8", "INT8"),
    ]
    cases = [_case(kind, (1, 4095), rng) for kind in kinds]
    cases.append(_case(("SOFTMAX", "INT8", "INT8"), (1, 511), rng))
    climb(cases, tmp_path)


def test_a_sum_at_which_tflm_aborts(tmp_path: Path) -> None:
    """512 equal int8 maxima trip an assertion in TFLM; 1/512 rounds to 0 here."""
    case = _case(("SOFTMAX", "INT8", "INT8"), (1, 512), np.random.default_rng(6))
    climb([case], tmp_path, oracle="none")
    with pytest.raises(InterpreterCrash):
        run_tflm(case.model, case.samples[1])


@pytest.mark.parametrize(
    ("kind", "shape", "changes", "reason"),
    [
        (("SOFTMAX", "INT8", "INT8"), (1, 4096), {}, "4096 values in a row"),
        (("SOFTMAX", "INT8", "INT8"), (1, 4), {"output": (0.004, -128)}, "TFLite fixes them"),
        (("SOFTMAX", "INT8", "INT8"), (1, 4), {"scale": 1e-9}, "is too small"),
        (("LOG_SOFTMAX", "INT8", "INT8"), (1, 4), {"output": (0.1, 127)}, "TFLite fixes them"),
        (("LOG_SOFTMAX", "INT8", "INT8"), (1, 4096), {}, "4096 values in a row"),
        (("L2_NORMALIZATION", "INT8", "INT8"), (1, 4), {"output": (0.1, 0)}, "TFLite fixes them"),
        (("L2_NORMALIZATION", "INT8", "INT8"), (1, 33026), {}, "33026 values in a row"),
    ],
)
def test_refusals(
    kind: tuple[str, str, str], shape: tuple[int, ...], changes: dict[str, Any], reason: str
) -> None:
    case = _case(kind, shape, np.random.default_rng(5), **changes)
    with pytest.raises(UnsupportedError, match=reason):
        build_program(load_tflite(case.model, name="refused"), Isa())
