"""SELECT_V2, SELECT and POW."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from tests.c_batch import Case, compile_case
from tests.ops.element_cases import QUANTIZED, binary_case, spread
from tests.ops.ladder import Tolerance, climb
from tests.tflite_builder import ModelBuilder, spec

SHAPES: list[tuple[tuple[int, ...], ...]] = [
    ((2, 3, 4), (2, 3, 4), (2, 3, 4)),
    ((1,), (1,), (1,)),
    ((2, 1, 4), (2, 3, 1), (1, 3, 4)),
    ((4,), (2, 3, 4), ()),
    ((), (3, 2), (2,)),
    ((2, 1, 1), (1,), (2, 3, 4)),
    ((2, 1, 3, 1, 2), (1, 2, 1, 3, 1), (2, 2, 3, 3, 2)),
]


def _case(
    op: str, dtype: str, shapes: tuple[tuple[int, ...], ...], constant: int | None = None
) -> Case:
    rng = np.random.default_rng(19)
    quant = (0.05, -3 if dtype == "INT8" else 0) if dtype in QUANTIZED else (None, 0)
    arrays = [spread("BOOL" if n == 0 else dtype, shape, rng) for n, shape in enumerate(shapes)]
    model = ModelBuilder()
    handles = [model.input("condition", shapes[0], "BOOL")]
    for slot in (1, 2):
        if slot == constant:
            handles.append(model.const(arrays[slot], dtype, *quant))
        else:
            handles.append(model.input(f"x{slot}", shapes[slot], dtype, *quant))
    if op == "SELECT":
        out = shapes[1]
    else:
        out = np.broadcast_shapes(*shapes)
    model.output(*model.op(op, handles, [spec(out, dtype, *quant)]))
    sample = [a for slot, a in enumerate(arrays) if slot != constant]
    return Case(f"{op} {dtype} {shapes} const {constant}", model.build(), [sample])


def test_select_v2(tmp_path: Path) -> None:
    types = ("INT8", "INT16", "FLOAT32")
    cases = [_case("SELECT_V2", dtype, shapes) for dtype in types for shapes in SHAPES]
    cases += [_case("SELECT_V2", dtype, SHAPES[3], 2) for dtype in types]
    climb(cases, tmp_path)


def test_select_v2_of_litert(tmp_path: Path) -> None:
    types = ("UINT8", "BOOL", "INT32", "INT64")
    cases = [_case("SELECT_V2", dtype, shapes) for dtype in types for shapes in SHAPES[:5]]
    climb(cases, tmp_path, oracle="litert")


def test_select(tmp_path: Path) -> None:
    shapes = [((2, 3), (2, 3), (2, 3)), ((3,), (3, 4, 2), (3, 4, 2)), ((), (3, 2), (3, 2))]
    cases = [_case("SELECT", dtype, s) for dtype in ("INT8", "INT32", "FLOAT32") for s in shapes]
    climb(cases, tmp_path, oracle="litert")


def test_a_condition_that_does_not_fit_is_named() -> None:
    with pytest.raises(
        UnsupportedError, match=r"condition of shape \[4\] for operands of \[3, 4\]"
    ):
        compile_case(_case("SELECT", "FLOAT32", ((4,), (3, 4), (3, 4))), "x")


def test_pow(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    base = np.abs(spread("FLOAT32", (6, 1, 5), rng)) + np.float32(0.01)
    exponents = np.array([-2.5, -1, -0.5, 0, 0.5, 1, 2, 3, 7.25], np.float32).reshape(9, 1)
    whole = np.array([-3, -2, -1, 0, 1, 2, 3, 4], np.float32).reshape(8, 1)
    floats = [[base, exponents], [-base, whole], [base, np.array(2, np.float32)]]
    edges = np.array([0, np.inf, 1, 2, 0.5], np.float32)
    floats.append([edges.reshape(5, 1), np.array([-np.inf, -1, 0, 0.5, np.inf], np.float32)])
    cases = [binary_case("POW", pair, ("FLOAT32",) * 3) for pair in floats]
    integers = [
        np.array([-7, -2, -1, 0, 1, 2, 3, 10], np.int32).reshape(8, 1),
        np.arange(0, 9, dtype=np.int32),
    ]
    cases.append(binary_case("POW", integers, ("INT32",) * 3))
    tolerance = Tolerance(1e-6, 1e-6, "results differ by one rounding of a double to float32")
    climb(cases, tmp_path, oracle="litert", tolerance=tolerance)


def test_pow_edges(tmp_path: Path) -> None:
    """Beyond what LiteRT defines: negative integer exponents, wrapping, roots of negatives."""
    bases = np.array([-3, -1, 0, 1, 2, 46341], np.int32)
    integers = [
        bases.reshape(6, 1),
        np.array([-3, -2, -1, 5, 31, 33], np.int32),
    ]
    inf = np.inf
    roots = np.array([-2, -0.5, -1, -inf, -0.0, np.nan], np.float32)
    floats = [roots.reshape(6, 1), np.array([0.5, -1.5, inf, -inf, 3, -2, 0, np.nan], np.float32)]
    cases = [
        binary_case("POW", integers, ("INT32",) * 3),
        binary_case("POW", floats, ("FLOAT32",) * 3),
    ]
    climb(cases, tmp_path, oracle="none")
