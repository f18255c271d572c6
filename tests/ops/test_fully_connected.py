"""FULLY_CONNECTED: ranks, types, bias widths, saturation, weights made at run time, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.emit.program import build_program, const_bytes
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.samples import constant, sample
from tests.ops.weighted_model import DOT_PRODUCTS, FLOAT, INT4, INT16_B32, INT16_B64, Weighted
from tests.tflite_builder import ModelBuilder, spec

# input, outputs, output shape, keep_num_dims
SHAPES: dict[str, tuple[Any, ...]] = {
    "row": ((1, 10), 4, (1, 4), False),
    "batch": ((3, 7), 5, (3, 5), False),
    "one to one": ((1, 1), 1, (1, 1), False),
    "flattens": ((2, 3, 4), 5, (2, 5), False),
    "kept dimensions": ((2, 3, 5), 4, (2, 3, 4), True),
    "kept rank 4": ((1, 2, 2, 3), 2, (1, 2, 2, 2), True),
    "rank of the recorded output": ((1, 6), 3, (1, 1, 3), False),
}


def dense(shape: str, activation: str = "NONE", label: str = "", **changes: Any) -> Weighted:
    x, outputs, out, keep = SHAPES[shape]
    inputs = int(np.prod(x)) * outputs // int(np.prod(out))
    changes.setdefault("per_channel", False)
    return Weighted(
        "FULLY_CONNECTED",
        x,
        (outputs, inputs),
        out,
        outputs,
        0,
        {"fused_activation_function": activation, "keep_num_dims": keep},
        label=f"{shape} {activation} {label}",
        **changes,
    )


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"per_channel": True},
        INT4,
        INT16_B64,
        {**INT16_B64, "per_channel": True},
        INT16_B32,
        {**INT16_B32, "per_channel": True},
        FLOAT,
    ],
    ids=[
        "int8",
        "int8 per channel",
        "int4",
        "int16",
        "int16 per channel",
        "int16 with 32-bit bias",
        "int16 with 32-bit bias per channel",
        "float32",
    ],
)
def test_shapes(kind: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [dense(shape, **kind).case(rng) for shape in SHAPES]
    cases += [dense("row", a, **kind).case(rng) for a in ("RELU", "RELU6", "RELU_N1_TO_1")]
    cases.append(dense("batch", label="no bias", **{**kind, "bias": None}).case(rng))
    climb(cases, tmp_path, tolerance=DOT_PRODUCTS)


def test_quantization_extremes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = [
        dense("batch", "RELU", label=f"zero points {z}", zero_points=z).case(rng)
        for z in ((-128, 127), (127, -128), (0, 0))
    ]
    # TFLM refuses larger factors with a bias: its scale cannot be exact enough in float32
    for factor in (0.7, 3.0, 900.0, 3e4, 1e-7, 1e-9, 1e-12):
        for per_channel in (False, True):
            changes: dict[str, Any] = {"real_multiplier": factor, "per_channel": per_channel}
            cases.append(dense("batch", label=str(changes), **changes).case(rng))
    for factor in (0.7, 30.0, 1e-7, 1e-9):
        for kind in (INT16_B64, INT16_B32):
            label = f"{kind} factor {factor}"
            cases.append(dense("batch", label=label, real_multiplier=factor, **kind).case(rng))
    cases.append(dense("batch", label="wide bias", bias_reach=(1 << 31) - 1).case(rng))
    climb(cases, tmp_path)


def _run_time(
    dtype: str,
    zeros: tuple[int, int, int],
    bias: bool,
    rng: np.random.Generator,
    *,
    constant_weights: bool = False,
) -> Case:
    """x [3, 6] times weights [4, 6] that are an input of the model, unless told otherwise."""
    is_float = dtype == "FLOAT32"
    scales = (None, None, None) if is_float else (0.05, 0.02, 0.11)
    model = ModelBuilder()
    x = model.input("x", (3, 6), dtype, scales[0], zeros[0])
    if constant_weights:
        w = model.const(sample(rng, dtype, (4, 6)), dtype, scales[1], zeros[1])
    else:
        w = model.input("w", (4, 6), dtype, scales[1], zeros[1])
    operands: list[int | None] = [x, w]
    if bias:
        values = rng.integers(-500, 500, 4)
        kind = "FLOAT32" if is_float else "INT32"
        operands.append(model.const(values, kind, None if is_float else 0.001))
    made = spec((3, 4), dtype, scales[2], zeros[2])
    model.output(*model.op("FULLY_CONNECTED", operands, [made]))
    runs = [[sample(rng, dtype, (3, 6)), sample(rng, dtype, (4, 6))] for _ in range(2)]
    for high in (False, True):
        runs.append(
            [constant(dtype, (3, 6), highest=high), constant(dtype, (4, 6), highest=not high)]
        )
    if constant_weights:
        runs = [[x] for x, _ in runs]
    return Case(f"{dtype} weights with zero points {zeros}", model.build(), runs)


def test_weights_at_run_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    cases = [
        _run_time("INT8", (-5, 0, 3), True, rng),
        _run_time("INT8", (-128, 0, 127), False, rng),
        _run_time("FLOAT32", (0, 0, 0), True, rng),
        _run_time("FLOAT32", (0, 0, 0), False, rng),
    ]
    climb(cases, tmp_path, tolerance=DOT_PRODUCTS)


def test_weights_with_a_zero_point(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    cases = [
        _run_time("INT8", (-5, z, 3), True, rng, constant_weights=fixed)
        for z in (-128, 9, 127)
        for fixed in (False, True)
    ]
    climb(cases, tmp_path)


def test_flash() -> None:
    rng = np.random.default_rng(6)
    packed = load_tflite(dense("batch", **INT4).case(rng).model, name="packed")
    call = build_program(packed, Isa()).main.lowered[0]
    assert const_bytes(call, "weights") == -(-5 * 7 // 2) + 5 * 4  # weights and bias
    assert const_bytes(call, "tables") == 4 + 1  # one multiplier and one shift per tensor
    per_channel = load_tflite(dense("batch", per_channel=True).case(rng).model, name="channels")
    call = build_program(per_channel, Isa()).main.lowered[0]
    assert const_bytes(call, "tables") == 5 * (4 + 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bias": "INT64"}, "a bias of INT64"),
        ({**INT4, "per_channel": True}, "per-channel int4 weights"),
        ({"real_multiplier": 300.0, **INT16_B64}, r"multiplied by 2\*\*9"),
    ],
)
def test_refusals(changes: dict[str, Any], reason: str) -> None:
    model = replace(dense("row"), **changes).case(np.random.default_rng(4)).model
    with pytest.raises(UnsupportedError, match=reason):
        build_program(load_tflite(model, name="refused"), Isa())
