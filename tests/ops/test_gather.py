"""GATHER, GATHER_ND and EMBEDDING_LOOKUP, and what happens to indices that are out of range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.evaluate import evaluate
from edgepack.ops.shared.kernel import Isa, KernelCall
from edgepack.resources import firmware_dir
from edgepack.runner import run
from tests.c_batch import Case, compile_case
from tests.ops.ladder import climb
from tests.ops.one_op import Fixed, Given, Run, one_op
from tests.tflite_builder import ModelBuilder, spec


def _indices(values: Any, dtype: str = "INT32") -> Run:
    array = np.array(values, dtype.lower())
    return Run(array.shape, dtype, array)


def _gather(
    shape: tuple[int, ...], indices: Given, out: tuple[int, ...], dtype: str, axis: int, batch: int
) -> Case:
    options = {"axis": axis, "batch_dims": batch}
    return one_op("GATHER", [Run(shape, dtype), indices], [out], dtype, options)


# shape, indices, axis, batch dimensions, output
GATHERS: list[tuple[tuple[int, ...], Any, int, int, tuple[int, ...]]] = [
    ((5, 3), [4, 0, 4], 0, 0, (3, 3)),
    ((2, 5, 3), [[1, 2], [0, 4]], 1, 0, (2, 2, 2, 3)),
    ((2, 5), [3, 0, 1], -1, 0, (2, 3)),
    ((5, 20), 2, 0, 0, (20,)),
    ((2, 3, 4), [[2, 0], [1, 1]], 1, 1, (2, 2, 4)),
    ((2, 2, 3), [[2, 0], [1, 1]], 2, 1, (2, 2, 2)),
]


@pytest.mark.parametrize("dtype", ["INT8", "FLOAT32"])
def test_gather(dtype: str, tmp_path: Path) -> None:
    cases = []
    for shape, indices, axis, batch, out in GATHERS:
        cases.append(_gather(shape, _indices(indices), out, dtype, axis, batch))
        cases.append(_gather(shape, Fixed(indices), out, dtype, axis, batch))
    climb(cases, tmp_path)


def test_gather_of_an_index_range_is_a_slice(tmp_path: Path) -> None:
    cases = [
        _gather((6, 4), Fixed([1, 2, 3]), (3, 4), "INT8", 0, 0),
        _gather((6, 4), Fixed([5, 3, 1]), (3, 4), "INT8", 0, 0),
        _gather((6, 4), Fixed([2, 2]), (2, 4), "INT8", 0, 0),
        _gather((6, 4), Fixed([3]), (6, 1), "INT8", 1, 0),
    ]
    climb(cases, tmp_path)
    for case in cases:
        (call,) = build_program(load_tflite(case.model), Isa()).main.lowered
        assert not (isinstance(call, KernelCall) and call.fallible)


def test_gather_beyond_tflm(tmp_path: Path) -> None:
    cases = [
        _gather((5, 3), _indices([4, 0]), (2, 3), d, 0, 0) for d in ("INT16", "INT32", "INT64")
    ]
    cases.append(_gather((5, 3), _indices([4, 0], "INT64"), (2, 3), "INT8", 0, 0))
    climb(cases, tmp_path, oracle="litert")


def _gather_nd(shape: tuple[int, ...], indices: Given, out: tuple[int, ...], dtype: str) -> Case:
    return one_op("GATHER_ND", [Run(shape, dtype), indices], [out], dtype)


def test_gather_nd(tmp_path: Path) -> None:
    rows: list[tuple[tuple[int, ...], Any, tuple[int, ...]]] = [
        ((4, 3), [[3, 2], [0, 0], [1, 2]], (3,)),
        ((4, 3), [[3], [1]], (2, 3)),
        ((2, 3, 4), [[[1, 2], [0, 0]]], (1, 2, 4)),
        ((2, 3, 2, 2), [[1, 2, 1, 0], [0, 1, 0, 1]], (2,)),
        ((7,), [3], ()),
    ]
    cases = []
    for shape, indices, out in rows:
        for dtype in ("INT8", "FLOAT32"):
            cases.append(_gather_nd(shape, _indices(indices), out, dtype))
        cases.append(_gather_nd(shape, Fixed(indices), out, "INT8"))
    climb(cases, tmp_path)


def _embedding(rows: Given, table: Given, out: tuple[int, ...], dtype: str) -> Case:
    return one_op("EMBEDDING_LOOKUP", [rows, table], [out], dtype)


def test_embedding_lookup(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    integers = rng.integers(-128, 128, (6, 5))
    rows = _indices([5, 0, 3, 3])
    cases = [
        _embedding(rows, Fixed(integers, "INT8", quantized=True), (4, 5), "INT8"),
        _embedding(rows, Fixed(integers, "INT8", quantized=True), (4, 5), "FLOAT32"),
        _embedding(rows, Fixed(rng.normal(0, 1, (6, 2, 3)), "FLOAT32"), (4, 2, 3), "FLOAT32"),
        _embedding(Fixed([2, 1]), Run((6, 5), "FLOAT32"), (2, 5), "FLOAT32"),
    ]
    climb(cases, tmp_path)


@pytest.mark.parametrize(
    "case",
    [
        _gather((5, 3), Fixed([0, 5]), (2, 3), "INT8", 0, 0),
        _gather((5, 3), Fixed([-1, 0]), (2, 3), "INT8", 0, 0),
        _gather_nd((4, 3), Fixed([[0, 3]]), (1,), "INT8"),
        _embedding(Fixed([6]), Run((6, 5), "FLOAT32"), (1, 5), "FLOAT32"),
    ],
    ids=lambda case: str(case.id),
)
def test_constant_indices_out_of_range_are_refused(case: Case) -> None:
    with pytest.raises(UnsupportedError, match="is outside 0"):
        build_program(load_tflite(case.model), Isa())


def _slice_at_run_time() -> Case:
    inputs = [Run((5, 3), "INT8"), _indices([0, 0]), Fixed([2, 3])]
    return one_op("SLICE", inputs, [(2, 3)], "INT8")


# model, the indices that are out of range and the ones that are not
RUN_TIME = {
    "gather": (_gather((5, 3), _indices([0, 0]), (2, 3), "INT8", 0, 0), [4, 5], [4, 0]),
    "negative": (_gather((5, 3), _indices([0, 0]), (2, 3), "INT8", 0, 0), [-1, 0], [1, 0]),
    "nd": (_gather_nd((4, 3), _indices([[0, 0]]), (1,), "INT8"), [0, 3], [3, 2]),
    "slice": (_slice_at_run_time(), [4, 0], [3, 0]),
}


@pytest.mark.parametrize("name", sorted(RUN_TIME))
def test_run_time_indices_out_of_range_give_an_error(name: str, tmp_path: Path) -> None:
    case, wrong, right = RUN_TIME[name]
    _, text = compile_case(case, "m")
    (tmp_path / text.header_name).write_text(text.header)
    (tmp_path / text.source_name).write_text(text.source)
    (tmp_path / "main.c").write_text(
        '#include "ep_m.c"\n#include <stdio.h>\n'
        f"static const int32_t right[] = {{{', '.join(map(str, right))}}};\n"
        f"static const int32_t wrong[] = {{{', '.join(map(str, wrong))}}};\n"
        "int main(void) {\n"
        "    static uint8_t arena[EP_M_ARENA_BYTES] EP_ALIGNED(16);\n"
        "    ep_m m;\n"
        "    (void)ep_m_init(&m, arena, sizeof arena);\n"
        "    memcpy(ep_m_input_1(&m), right, sizeof right);\n"
        "    const ep_status good = ep_m_invoke(&m);\n"
        "    memcpy(ep_m_input_1(&m), wrong, sizeof wrong);\n"
        '    printf("%d %d\\n", (int)good, (int)ep_m_invoke(&m));\n'
        "    return 0;\n}\n"
    )
    firmware = firmware_dir()
    build = ["gcc", "-std=c99", "-fsanitize=address,undefined", f"-I{firmware / 'runtime'}"]
    build += [f"-I{firmware / 'kernels'}", "main.c", "-o", "main"]
    run(build, cwd=tmp_path, timeout=60)
    done = run([str(tmp_path / "main")], timeout=20)
    assert done.stdout == "0 4\n"  # EP_OK, EP_ERR_INDEX
    bad = [case.samples[0][0], np.array(wrong, np.int32).reshape(case.samples[0][1].shape)]
    with pytest.raises(IndexError, match="out"):
        evaluate(load_tflite(case.model), bad)


def test_gather_and_its_indices_may_be_computed(tmp_path: Path) -> None:
    model = ModelBuilder()
    x = model.input("x", (4, 3), "FLOAT32")
    (best,) = model.op(
        "ARG_MAX", [x, model.const(0, "INT32")], [spec((3,), "INT32")], {"output_type": "INT32"}
    )
    model.output(*model.op("GATHER", [x, best], [spec((3, 3), "FLOAT32")], {"axis": 0}))
    data = np.random.default_rng(2).normal(0, 1, (4, 3)).astype(np.float32)
    climb([Case("argmax and gather", model.build(), [[data]])], tmp_path)
