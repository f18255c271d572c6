"""SHAPE, FILL, ZEROS_LIKE and DYNAMIC_UPDATE_SLICE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgepack.emit.program import build_program
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.one_op import Fixed, Run, one_op
from tests.tflite_builder import ModelBuilder, spec


def test_shape(tmp_path: Path) -> None:
    cases = [
        one_op("SHAPE", [Run((2, 3, 4), d)], [(3,)], "INT32", {"out_type": "INT32"})
        for d in ("INT8", "FLOAT32")
    ]
    climb(cases, tmp_path)
    wide = one_op("SHAPE", [Run((2, 3), "INT8")], [(2,)], "INT64", {"out_type": "INT64"})
    climb([wide], tmp_path, oracle="litert")


def test_fill(tmp_path: Path) -> None:
    cases = []
    for dtype, value in (("INT8", -3), ("INT32", 1 << 30), ("FLOAT32", 0.1)):
        for shape in ((2, 3), (7,), (1, 1, 2, 2)):
            run = Run((), dtype, np.array(value, dtype.lower()))
            cases.append(one_op("FILL", [Fixed(shape), run], [shape], dtype))
    cases.append(one_op("FILL", [Fixed([3], "INT64"), Fixed(2, "INT32")], [(3,)], "INT32"))
    climb(cases, tmp_path)
    beyond = [
        one_op("FILL", [Fixed([3, 2]), Run((), d)], [(3, 2)], d) for d in ("INT16", "INT64", "BOOL")
    ]
    climb(beyond, tmp_path, oracle="litert")


def test_zeros_like(tmp_path: Path) -> None:
    cases = [
        one_op("ZEROS_LIKE", [Run(shape, d)], [shape], d)
        for shape in ((2, 3), (1,))
        for d in ("INT8", "INT32", "INT64", "FLOAT32")
    ]
    cases.append(
        one_op("ZEROS_LIKE", [Run((3,), "INT8", zero_point=7)], [(3,)], "INT8", zero_point=7)
    )
    climb(cases, tmp_path)


def _update(shape: Any, box: Any, begin: Any, dtype: str, index: str = "INT32") -> Case:
    start = Run((len(shape),), index, np.array(begin, index.lower()))
    inputs = [Run(shape, dtype), Run(box, dtype), start]
    return one_op("DYNAMIC_UPDATE_SLICE", inputs, [shape], dtype)


def test_dynamic_update_slice(tmp_path: Path) -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ((4, 5), (2, 3), (1, 1)),
        ((4, 5), (2, 3), (9, -4)),
        ((4, 5), (4, 5), (1, 1)),
        ((7,), (1,), (6,)),
        ((2, 3, 4, 5), (1, 2, 4, 2), (1, 1, 0, 3)),
    ]
    cases = [_update(s, box, at, d) for s, box, at in rows for d in ("INT8", "FLOAT32")]
    shape, box, at = rows[1]
    cases += [_update(shape, box, at, "INT16"), _update(shape, box, at, "INT32", "INT64")]
    climb(cases, tmp_path)


def test_dynamic_update_slice_in_place(tmp_path: Path) -> None:
    # a cache of 8 rows of 16 floats, updated twice: the arena holds it once
    model = ModelBuilder()
    cache = model.input("cache", (8, 16), "FLOAT32")
    row = model.input("row", (1, 16), "FLOAT32")
    at = model.input("at", (2,), "INT32")
    for _ in range(2):
        (cache,) = model.op("DYNAMIC_UPDATE_SLICE", [cache, row, at], [spec((8, 16), "FLOAT32")])
        (cache,) = model.op("NEG", [cache], [spec((8, 16), "FLOAT32")])
    model.output(cache)
    rng = np.random.default_rng(3)
    sample = [
        rng.normal(0, 1, (8, 16)).astype(np.float32),
        rng.normal(0, 1, (1, 16)).astype(np.float32),
        np.array([3, 0], np.int32),
    ]
    case = Case("cache", model.build(), [sample])
    climb([case], tmp_path)
    assert build_program(load_tflite(case.model), Isa()).arena_bytes <= 4 * (128 + 16) + 32
