"""CONV_2D: geometry, groups, types, bias widths, saturation and refusals."""

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
from edgepack.ops.shared.window import window
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.samples import sample
from tests.ops.weighted_model import DOT_PRODUCTS, FLOAT, INT4, INT16_B32, INT16_B64, Weighted
from tests.tflite_builder import ModelBuilder, spec

# input, (filters, kernel h, kernel w), stride, dilation, padding, groups
GEOMETRIES: dict[str, tuple[Any, ...]] = {
    "3x3 same": ((1, 6, 5, 3), (4, 3, 3), (1, 1), (1, 1), "SAME", 1),
    "stride 2x3 valid": ((1, 9, 8, 2), (3, 3, 2), (2, 3), (1, 1), "VALID", 1),
    "stride beyond kernel": ((1, 7, 7, 2), (3, 1, 1), (3, 2), (1, 1), "SAME", 1),
    "dilated": ((1, 9, 10, 2), (3, 3, 3), (1, 1), (2, 3), "SAME", 1),
    "dilated valid": ((1, 9, 10, 2), (2, 2, 3), (1, 1), (3, 2), "VALID", 1),
    "groups": ((1, 4, 4, 6), (4, 3, 3), (1, 1), (1, 1), "SAME", 2),
    "depthwise as groups": ((1, 4, 4, 4), (8, 2, 2), (1, 1), (1, 1), "VALID", 4),
    "batches": ((3, 4, 3, 2), (2, 3, 3), (2, 2), (1, 1), "SAME", 1),
    "1x1 everything": ((1, 1, 1, 1), (1, 1, 1), (1, 1), (1, 1), "VALID", 1),
    "kernel beyond input": ((1, 2, 2, 2), (2, 5, 5), (1, 1), (1, 1), "SAME", 1),
    "odd int4 rows": ((1, 3, 3, 3), (3, 1, 1), (1, 1), (1, 1), "SAME", 1),
    "one column": ((1, 12, 1, 4), (5, 4, 1), (2, 1), (1, 1), "SAME", 1),
}


def conv(geometry: str, activation: str = "NONE", label: str = "", **changes: Any) -> Weighted:
    x, (filters, kh, kw), stride, dilation, padding, groups = GEOMETRIES[geometry]
    rows = window(x[1], kh, stride[0], dilation[0], padding).out
    columns = window(x[2], kw, stride[1], dilation[1], padding).out
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "fused_activation_function": activation,
    }
    return Weighted(
        "CONV_2D",
        x,
        (filters, kh, kw, x[3] // groups),
        (x[0], rows, columns, filters),
        filters,
        0,
        options,
        label=f"{geometry} {activation} {label}",
        **changes,
    )


@pytest.mark.parametrize(
    "kind",
    [{}, INT4, INT16_B64, INT16_B32, FLOAT],
    ids=["int8", "int4", "int16", "int16 with 32-bit bias", "float32"],
)
def test_geometry(kind: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [conv(geometry, **kind).case(rng) for geometry in GEOMETRIES]
    cases += [conv("3x3 same", a, **kind).case(rng) for a in ("RELU", "RELU6", "RELU_N1_TO_1")]
    without = {**kind, "bias": None}
    cases += [conv(g, label="no bias", **without).case(rng) for g in ("groups", "batches")]
    climb(cases, tmp_path, tolerance=DOT_PRODUCTS)


def test_quantization_extremes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = [conv("3x3 same", per_channel=False).case(rng)]
    cases += [
        conv("3x3 same", "RELU", label=f"zero points {z}", zero_points=z).case(rng)
        for z in ((-128, 127), (127, -128), (0, 0))
    ]
    # Factors above 1 (the accumulator is shifted left and saturates) and far below.
    for factor in (0.7, 3.0, 900.0, 3e6, 1e-7, 1e-9, 1e-12):
        cases.append(conv("groups", label=f"factor {factor}", real_multiplier=factor).case(rng))
    for factor in (0.7, 30.0, 1e-7, 1e-9):
        for kind in (INT16_B64, INT16_B32):
            label = f"{kind} factor {factor}"
            cases.append(conv("groups", label=label, real_multiplier=factor, **kind).case(rng))
    cases.append(conv("3x3 same", label="wide bias", bias_reach=(1 << 31) - 1).case(rng))
    climb(cases, tmp_path)


def test_bias_at_run_time(tmp_path: Path) -> None:
    """The bias is an input of the model; so are two kinds of extremes for it."""
    rng = np.random.default_rng(5)
    model = ModelBuilder()
    x = model.input("x", (1, 4, 4, 2), "INT8", 0.04, -3)
    w = model.const(rng.integers(-128, 128, (3, 2, 2, 2)), "INT8", 0.01)
    bias = model.input("bias", (3,), "INT32", 0.0004)
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    model.output(*model.op("CONV_2D", [x, w, bias], [spec((1, 3, 3, 3), "INT8", 0.2)], options))
    biases = [rng.integers(-900, 900, 3), np.array([0, -(1 << 31), (1 << 31) - 1])]
    runs = [[sample(rng, "INT8", (1, 4, 4, 2)), b.astype(np.int32)] for b in biases]
    climb([Case("bias at run time", model.build(), runs)], tmp_path)


def test_int4_weights_are_stored_two_to_a_byte() -> None:
    rng = np.random.default_rng(3)
    module = load_tflite(conv("3x3 same", **INT4).case(rng).model, name="packed")
    call = build_program(module, Isa()).main.lowered[0]
    assert const_bytes(call, "weights") == 4 * 3 * 3 * 3 // 2 + 4 * 4  # weights and bias


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bias": "INT64"}, "a bias of INT64"),
        ({"real_multiplier": 300.0, **INT16_B64}, r"multiplied by 2\*\*9"),
        ({"channels": 3, "per_channel": False}, "a bias of 3 elements for 4 channels"),
        ({**INT4, **INT16_B64}, "INT16 input with INT4 weights"),
    ],
)
def test_refusals(changes: dict[str, Any], reason: str) -> None:
    model = replace(conv("3x3 same"), **changes).case(np.random.default_rng(4)).model
    with pytest.raises(UnsupportedError, match=reason):
        build_program(load_tflite(model, name="refused"), Isa())
