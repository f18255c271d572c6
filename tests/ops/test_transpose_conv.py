"""TRANSPOSE_CONV: geometry, types, bias, saturation and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from tests.ops.ladder import climb
from tests.ops.weighted_model import DOT_PRODUCTS, FLOAT, INT16_B64, Weighted

# input, (filters, kernel h, kernel w), stride, padding, output height and width
GEOMETRIES: dict[str, tuple[Any, ...]] = {
    "doubling": ((1, 3, 4, 3), (4, 3, 3), (2, 2), "SAME", (6, 8)),
    "odd output": ((1, 3, 4, 2), (2, 3, 3), (2, 2), "SAME", (5, 7)),
    "kernel 2": ((1, 3, 3, 2), (3, 2, 2), (2, 2), "VALID", (6, 6)),
    "valid": ((1, 3, 2, 2), (3, 3, 4), (2, 3), "VALID", (7, 7)),
    "kernel below stride": ((1, 3, 3, 2), (2, 1, 2), (3, 4), "SAME", (9, 12)),
    "gaps at the end": ((1, 2, 2, 2), (2, 2, 2), (3, 3), "VALID", (7, 7)),
    "stride 1": ((1, 5, 4, 2), (3, 3, 3), (1, 1), "SAME", (5, 4)),
    "batches": ((3, 2, 2, 2), (2, 3, 3), (2, 1), "SAME", (4, 2)),
    "1x1 everything": ((1, 1, 1, 1), (1, 1, 1), (1, 1), "VALID", (1, 1)),
    "one pixel": ((1, 1, 1, 5), (3, 4, 4), (1, 1), "VALID", (4, 4)),
}


def upscale(geometry: str, activation: str = "NONE", label: str = "", **changes: Any) -> Weighted:
    x, (filters, kh, kw), stride, padding, (height, width) = GEOMETRIES[geometry]
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "fused_activation_function": activation,
    }
    out = (x[0], height, width, filters)
    return Weighted(
        "TRANSPOSE_CONV",
        x,
        (filters, kh, kw, x[3]),
        out,
        filters,
        0,
        options,
        label=f"{geometry} {activation} {label}",
        extra_inputs=[(np.array(out, np.int32), "INT32")],
        **changes,
    )


@pytest.mark.parametrize("kind", [{}, INT16_B64, FLOAT], ids=["int8", "int16", "float32"])
def test_geometry(kind: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [upscale(geometry, **kind).case(rng) for geometry in GEOMETRIES]
    cases += [upscale("doubling", a, **kind).case(rng) for a in ("RELU", "RELU6", "RELU_N1_TO_1")]
    cases.append(upscale("valid", label="no bias", **{**kind, "bias": None}).case(rng))
    climb(cases, tmp_path, tolerance=DOT_PRODUCTS)


def test_quantization_extremes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = [upscale("doubling", per_channel=False, label="per tensor").case(rng)]
    cases += [
        upscale("doubling", label=f"zero points {z}", zero_points=z).case(rng)
        for z in ((-128, 127), (127, -128))
    ]
    for factor in (0.7, 900.0, 3e6, 1e-7, 1e-9, 1e-12):
        cases.append(upscale("valid", label=f"{factor}", real_multiplier=factor).case(rng))
    for factor in (0.7, 30.0, 1e-7, 1e-9):
        model = upscale("valid", label=f"16x8 {factor}", real_multiplier=factor, **INT16_B64)
        cases.append(model.case(rng))
    climb(cases, tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bias": "INT64"}, "a bias of INT64"),
        ({"activation_type": "INT16", "bias": "INT32"}, "16x8 with an INT32 bias"),
        ({"weight_type": "INT4"}, "INT8 input with INT4 weights"),
        ({"w": (4, 3, 3, 2)}, "weights for 2 of 3 input channels"),
    ],
)
def test_refusals(changes: dict[str, Any], reason: str) -> None:
    model = replace(upscale("doubling"), **changes).case(np.random.default_rng(4)).model
    with pytest.raises(UnsupportedError, match=reason):
        build_program(load_tflite(model, name="refused"), Isa())
