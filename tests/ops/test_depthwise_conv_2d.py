"""DEPTHWISE_CONV_2D: depth multipliers, geometry, types, saturation and refusals."""

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
from edgepack.ops.shared.window import window
from tests.ops.ladder import climb
from tests.ops.weighted_model import DOT_PRODUCTS, FLOAT, INT4, INT16_B64, Weighted

# input, (multiplier, kernel h, kernel w), stride, dilation, padding
GEOMETRIES: dict[str, tuple[Any, ...]] = {
    "3x3 same": ((1, 6, 5, 3), (1, 3, 3), (1, 1), (1, 1), "SAME"),
    "multiplier 4": ((1, 5, 5, 2), (4, 3, 3), (1, 1), (1, 1), "SAME"),
    "one channel, multiplier 8": ((1, 7, 6, 1), (8, 4, 3), (2, 2), (1, 1), "SAME"),
    "stride 2x1 valid": ((1, 9, 8, 2), (1, 3, 2), (2, 1), (1, 1), "VALID"),
    "dilated": ((1, 9, 10, 2), (2, 3, 3), (1, 1), (2, 3), "SAME"),
    "batches": ((3, 4, 3, 3), (1, 3, 3), (2, 2), (1, 1), "SAME"),
    "1x1 everything": ((1, 1, 1, 1), (1, 1, 1), (1, 1), (1, 1), "VALID"),
    "kernel beyond input": ((1, 2, 2, 2), (1, 5, 5), (1, 1), (1, 1), "SAME"),
    "whole input": ((1, 4, 5, 3), (1, 4, 5), (1, 1), (1, 1), "VALID"),
}


def depthwise(geometry: str, activation: str = "NONE", label: str = "", **changes: Any) -> Weighted:
    x, (multiplier, kh, kw), stride, dilation, padding = GEOMETRIES[geometry]
    rows = window(x[1], kh, stride[0], dilation[0], padding).out
    columns = window(x[2], kw, stride[1], dilation[1], padding).out
    channels = x[3] * multiplier
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "depth_multiplier": multiplier,
        "fused_activation_function": activation,
    }
    return Weighted(
        "DEPTHWISE_CONV_2D",
        x,
        (1, kh, kw, channels),
        (x[0], rows, columns, channels),
        channels,
        3,
        options,
        label=f"{geometry} {activation} {label}",
        **changes,
    )


@pytest.mark.parametrize(
    "kind", [{}, INT4, INT16_B64, FLOAT], ids=["int8", "int4", "int16", "float32"]
)
def test_geometry(kind: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [depthwise(geometry, **kind).case(rng) for geometry in GEOMETRIES]
    cases += [depthwise("3x3 same", a, **kind).case(rng) for a in ("RELU", "RELU6", "RELU_N1_TO_1")]
    cases.append(depthwise("multiplier 4", label="no bias", **{**kind, "bias": None}).case(rng))
    climb(cases, tmp_path, tolerance=DOT_PRODUCTS)


def test_quantization_extremes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cases = [depthwise("3x3 same", per_channel=False, label="per tensor").case(rng)]
    cases += [
        depthwise("3x3 same", "RELU6", label=f"zero points {z}", zero_points=z).case(rng)
        for z in ((-128, 127), (127, -128), (0, 0))
    ]
    for factor in (0.7, 3.0, 900.0, 3e6, 1e-7, 1e-9, 1e-12):
        cases.append(depthwise("multiplier 4", label=f"{factor}", real_multiplier=factor).case(rng))
    for factor in (0.7, 30.0, 1e-7, 1e-9):
        model = depthwise("dilated", label=f"{factor}", real_multiplier=factor, **INT16_B64)
        cases.append(model.case(rng))
    climb(cases, tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bias": "INT64"}, "a bias of INT64"),
        ({"activation_type": "INT16", "bias": "INT32"}, "16x8 with an INT32 bias"),
        ({"w": (1, 3, 3, 4), "out": (1, 6, 5, 4), "channels": 4}, "4 filters for 3 input channels"),
    ],
)
def test_refusals(changes: dict[str, Any], reason: str) -> None:
    model = replace(depthwise("3x3 same"), **changes).case(np.random.default_rng(4)).model
    with pytest.raises(UnsupportedError, match=reason):
        build_program(load_tflite(model, name="refused"), Isa())
