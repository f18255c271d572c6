"""QUANTIZE, DEQUANTIZE and CAST."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from edgepack.types import Array
from tests.c_batch import compile_case
from tests.ops.element_cases import every_byte, spread, unary_case
from tests.ops.ladder import climb
from tests.tflite_builder import ModelBuilder, spec

CAST_TFLM = ["INT8", "INT16", "INT32", "UINT32", "FLOAT32"]


def test_quantize_float(tmp_path: Path) -> None:
    """Halves, values next to halves, both ends, and infinities."""
    halves = (np.arange(-300, 300) + 0.5).astype(np.float32) * np.float32(0.1)
    x = np.concatenate([halves, np.nextafter(halves, np.float32(0)), [1e4, -1e4, -0.0]])
    cases = [
        unary_case("QUANTIZE", x.astype(np.float32), ("FLOAT32", dtype), ((1.0, 0), (scale, zero)))
        for dtype, scale, zero in [
            ("INT8", 0.1, 0),
            ("INT8", 0.1, -128),
            ("INT8", 0.37, 127),
            ("INT16", 0.1, 0),
            ("INT16", 0.0007, 0),
        ]
    ]
    climb(cases, tmp_path)


def test_quantize_float_beyond_int32_saturates(tmp_path: Path) -> None:
    x = np.array([3e38, -3e38, np.inf, -np.inf, np.nan, 1e10], np.float32)
    case = unary_case("QUANTIZE", x, ("FLOAT32", "INT8"), ((1.0, 0), (0.1, 3)))
    climb([case], tmp_path, oracle="none")


def test_quantize_float_to_uint8(tmp_path: Path) -> None:
    x = np.linspace(-5, 40, 501, dtype=np.float32)
    case = unary_case("QUANTIZE", x, ("FLOAT32", "UINT8"), ((1.0, 0), (0.13, 7)))
    climb([case], tmp_path, oracle="litert")


REQUANTIZE = [
    ("INT8", "INT8", (0.05, -3), (0.05, 4)),
    ("INT8", "INT8", (0.05, -128), (0.031, 127)),
    ("INT8", "INT8", (0.9, 127), (0.0013, -128)),
    ("INT8", "UINT8", (0.05, -3), (0.05, 125)),
    ("INT8", "UINT8", (0.05, -3), (0.07, 0)),
    ("UINT8", "INT8", (0.05, 125), (0.05, -3)),
    ("UINT8", "INT8", (0.05, 255), (0.02, 0)),
    ("INT8", "INT16", (0.05, -3), (0.0004, 0)),
    ("INT8", "INT32", (0.05, -3), (0.00004, 0)),
    ("INT16", "INT8", (0.0004, 0), (0.05, -3)),
    ("INT16", "INT16", (0.0004, 0), (0.0009, 0)),
    ("INT16", "INT16", (0.0004, 0), (0.0001, 0)),
    ("INT16", "INT32", (0.0004, 0), (0.00001, 0)),
    ("INT32", "INT8", (0.00000001, 0), (0.05, -3)),
    ("INT32", "INT16", (0.0000001, 0), (0.0004, 0)),
]


def test_requantize(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    cases = []
    for source, target, a, b in REQUANTIZE:
        x = every_byte(source) if source.endswith("INT8") else spread(source, (3, 100), rng)
        cases.append(unary_case("QUANTIZE", x, (source, target), (a, b)))
    climb(cases, tmp_path)


def test_dequantize(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    inputs: list[tuple[str, Array, tuple[float, int]]] = [
        ("INT8", every_byte("INT8"), (0.1, -3)),
        ("INT8", every_byte("INT8"), (1 / 3, 127)),
        ("UINT8", every_byte("UINT8"), (0.0123, 200)),
        ("INT16", spread("INT16", (5, 77), rng), (0.00031, 0)),
        ("INT8", np.array(-7, np.int8), (0.1, -3)),
    ]
    cases = [
        unary_case("DEQUANTIZE", x, (dtype, "FLOAT32"), (q, (1.0, 0))) for dtype, x, q in inputs
    ]
    climb(cases, tmp_path)


def test_quantize_in_the_middle_shares_memory(tmp_path: Path) -> None:
    """int8 -> float -> int8: each step may overwrite its operand."""
    model = ModelBuilder()
    x = model.input("x", (1, 16, 16), "INT8", 0.1, 3)
    wide = model.op("DEQUANTIZE", [x], [spec((1, 16, 16), "FLOAT32")])
    steep = model.op("TANH", list(wide), [spec((1, 16, 16), "FLOAT32")])
    model.output(*model.op("QUANTIZE", list(steep), [spec((1, 16, 16), "INT8", 0.01, -5)]))
    case = unary_case("DEQUANTIZE", every_byte("INT8"), ("INT8", "FLOAT32"), ((0.1, 3), (1.0, 0)))
    chain = type(case)("chain", model.build(), case.samples)
    assert compile_case(chain, "x")[0].arena_bytes == 1024
    climb([chain], tmp_path)


def test_cast(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    cases = []
    for source in (*CAST_TFLM, "BOOL"):
        for target in CAST_TFLM:
            if source == target:
                continue
            x = spread(source, (2, 31), rng)
            if source == "FLOAT32":
                x = np.abs(x) if target.startswith("U") else x
            cases.append(unary_case("CAST", x, (source, target), None))
    climb(cases, tmp_path)


def test_cast_of_litert(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    cases = []
    for source in ("INT64", "UINT8", "INT32", "FLOAT32", "BOOL"):
        for target in ("INT64", "UINT8", "BOOL", "FLOAT32"):
            if source != target:
                x = spread(source, (2, 31), rng)
                x = np.abs(x) if source == "FLOAT32" and target == "UINT8" else x
                cases.append(unary_case("CAST", x, (source, target), None))
    climb(cases, tmp_path, oracle="litert")


def test_cast_of_floats_out_of_range_saturates(tmp_path: Path) -> None:
    ends = [127.9, 128, -128.9, -129, 255.9, 256, 32768, -32769, 2**31, -(2**31), 2**32, 2**63]
    x = np.array([*ends, 1e30, -1e30, -0.9, np.inf, -np.inf, np.nan], np.float32)
    targets = ["INT8", "UINT8", "INT16", "INT32", "UINT32", "INT64", "BOOL"]
    cases = [unary_case("CAST", x, ("FLOAT32", t), None) for t in targets]
    climb(cases, tmp_path, oracle="none")


def test_an_impossible_pair_of_types_is_named() -> None:
    case = unary_case("QUANTIZE", every_byte("UINT8"), ("UINT8", "UINT8"), ((0.1, 0), (0.1, 0)))
    with pytest.raises(UnsupportedError, match="UINT8 to UINT8; allowed: INT8"):
        compile_case(case, "x")
