"""CONCATENATION, PACK, SPLIT, SPLIT_V and UNPACK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Alias, Isa
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.one_op import Fixed, Run, one_op, spread
from tests.tflite_builder import ModelBuilder, spec

CONCATS: list[tuple[list[tuple[int, ...]], int, tuple[int, ...]]] = [
    ([(2, 3), (2, 5)], 1, (2, 8)),
    ([(2, 3), (4, 3)], 0, (6, 3)),
    ([(1, 2, 2, 1), (1, 2, 2, 3), (1, 2, 2, 20)], -1, (1, 2, 2, 24)),
    ([(1, 8, 2), (1, 4, 2)], 1, (1, 12, 2)),
    ([(3,)], 0, (3,)),
    ([(2, 1, 2, 1, 2)] * 10, 2, (2, 1, 20, 1, 2)),
]


def _concat(row: Any, dtype: str, **more: Any) -> Case:
    shapes, axis, out = row
    inputs = [Run(s, dtype) for s in shapes]
    return one_op("CONCATENATION", inputs, [out], dtype, {"axis": axis}, **more)


def test_concatenation(tmp_path: Path) -> None:
    types = ("INT8", "INT16", "INT32", "INT64", "FLOAT32", "BOOL")
    climb([_concat(row, d) for row, d in spread(CONCATS, types)], tmp_path)


def test_concatenation_beyond_tflm(tmp_path: Path) -> None:
    # TFLM takes 10 inputs at most
    climb([_concat(([(2, 1)] * 12, 1, (2, 12)), "INT8")], tmp_path, oracle="litert")


def test_concatenation_with_a_constant(tmp_path: Path) -> None:
    cases = []
    for axis, shape, out in ((0, (2, 4), (4, 4)), (1, (2, 4), (2, 8))):
        fixed = Fixed([[1, -128, 127, 0], [5, 6, 7, 8]], "INT8", quantized=True)
        for inputs in ([fixed, Run(shape, "INT8")], [Run(shape, "INT8"), fixed]):
            cases.append(one_op("CONCATENATION", inputs, [out], "INT8", {"axis": axis}))
    climb(cases, tmp_path)


def test_concatenation_refuses_other_scales() -> None:
    case = _concat(([(2, 2), (2, 2)], 0, (4, 2)), "INT8", zero_point=3)
    with pytest.raises(UnsupportedError, match="zero point"):
        build_program(load_tflite(case.model), Isa())


def test_pack_and_unpack(tmp_path: Path) -> None:
    rows: list[tuple[tuple[int, ...], int, tuple[int, ...]]] = [
        ((2, 3), 0, (4, 2, 3)),
        ((2, 3), 1, (2, 4, 3)),
        ((2, 3), -1, (2, 3, 4)),
        ((5,), 0, (4, 5)),
        ((), 0, (4,)),
        ((1, 2, 4), 1, (1, 4, 2, 4)),
    ]
    cases = []
    for (shape, axis, out), d in spread(rows, ("INT8", "INT16", "INT32", "INT64", "FLOAT32")):
        options = {"axis": axis}
        cases.append(one_op("PACK", [Run(shape, d)] * 4, [out], d, {"values_count": 4, **options}))
        if d != "INT64":
            cases.append(one_op("UNPACK", [Run(out, d)], [shape] * 4, d, {"num": 4, **options}))
    climb(cases, tmp_path)


def test_split(tmp_path: Path) -> None:
    rows: list[tuple[tuple[int, ...], int, tuple[int, ...]]] = [
        ((4, 3), 0, (2, 3)),
        ((4, 6), 1, (4, 3)),
        ((1, 4, 2), 1, (1, 2, 2)),
        ((2, 2, 40), -1, (2, 2, 20)),
        ((1, 1, 2), 2, (1, 1, 1)),
    ]
    cases = []
    for (shape, axis, out), d in spread(rows, ("INT8", "INT16", "INT32", "FLOAT32")):
        options = {"num_splits": 2}
        cases.append(one_op("SPLIT", [Fixed(axis), Run(shape, d)], [out] * 2, d, options))
    climb(cases, tmp_path)


def test_split_v(tmp_path: Path) -> None:
    rows: list[tuple[tuple[int, ...], int, list[int], list[tuple[int, ...]]]] = [
        ((6, 2), 0, [1, 3, 2], [(1, 2), (3, 2), (2, 2)]),
        ((2, 7), 1, [4, 3], [(2, 4), (2, 3)]),
        ((1, 8, 2), -2, [4, 2, 2], [(1, 4, 2), (1, 2, 2), (1, 2, 2)]),
        ((2, 2, 25), -1, [24, 1], [(2, 2, 24), (2, 2, 1)]),
    ]
    cases = []
    for (shape, axis, sizes, outs), d in spread(rows, ("INT8", "INT16", "INT32", "FLOAT32")):
        inputs = [Run(shape, d), Fixed(sizes), Fixed(axis)]
        cases.append(one_op("SPLIT_V", inputs, outs, d, {"num_splits": len(sizes)}))
    # the rest may be left open
    inputs = [Run((6, 2), "INT8"), Fixed([1, -1]), Fixed(0)]
    cases.append(one_op("SPLIT_V", inputs, [(1, 2), (5, 2)], "INT8", {"num_splits": 2}))
    climb(cases, tmp_path)


@pytest.mark.parametrize("sizes", [[1, 2], [3, 3, 0], [7, -1], [-1, -1]])
def test_split_v_refuses_sizes_that_do_not_fit(sizes: list[int]) -> None:
    inputs = [Run((6, 2), "INT8"), Fixed(sizes), Fixed(0)]
    case = one_op("SPLIT_V", inputs, [(3, 2), (3, 2)], "INT8", {"num_splits": 2})
    with pytest.raises(UnsupportedError, match="extents"):
        build_program(load_tflite(case.model), Isa())


def _branches(op: str) -> bytes:
    """SPLIT, one branch through `op`, the other as it is, put together again."""
    model = ModelBuilder()
    x = model.input("x", (1, 8, 4), "FLOAT32")
    half = spec((1, 4, 4), "FLOAT32")
    first, second = model.op("SPLIT", [model.const(1, "INT32"), x], [half, half], {"num_splits": 2})
    (changed,) = model.op(op, [first], [half])
    (again,) = model.op(op, [changed], [half])
    options = {"axis": 1}
    model.output(*model.op("CONCATENATION", [again, second], [spec((1, 8, 4), "FLOAT32")], options))
    return model.build()


def test_a_split_and_joined_tensor_stays_where_it_is(tmp_path: Path) -> None:
    case = one_op("SQUEEZE", [Run((1, 8, 4), "FLOAT32")], [(8, 4)], "FLOAT32")
    case = Case("branches", _branches("NEG"), case.samples)
    climb([case], tmp_path)
    program = build_program(load_tflite(case.model), Isa())
    assert isinstance(program.main.lowered[0], Alias)
    assert isinstance(program.main.lowered[-1], Alias)
    # 128 bytes of input and output in one place; NEG runs in place in between or beside it
    assert program.arena_bytes <= 192
