"""Ops that copy with strides: TFLM where it has the type, LiteRT where only it has the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Alias, Isa, KernelCall
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.one_op import MOVED, Fixed, Run, one_op, random_values, spread
from tests.tflite_builder import ModelBuilder, spec


def _lowered(case: Case) -> KernelCall | Alias:
    (call,) = build_program(load_tflite(case.model), Isa()).main.lowered
    return call


def test_squeeze_and_expand_dims(tmp_path: Path) -> None:
    cases = [
        one_op("SQUEEZE", [Run((1, 3, 1, 2), d)], [(3, 2)], d) for d in ("INT8", "INT32", "FLOAT32")
    ]
    cases += [
        one_op("SQUEEZE", [Run((1, 3, 1, 2), "INT8")], [(3, 1, 2)], "INT8", {"squeeze_dims": [0]}),
        one_op("SQUEEZE", [Run((1, 3, 1), "INT16")], [(1, 3)], "INT16", {"squeeze_dims": [-1]}),
        one_op("SQUEEZE", [Run((1, 1), "INT8")], [()], "INT8"),
    ]
    for dtype in ("INT8", "INT16", "FLOAT32"):
        for axis, out in ((0, (1, 2, 3)), (1, (2, 1, 3)), (-1, (2, 3, 1)), (-3, (1, 2, 3))):
            cases.append(one_op("EXPAND_DIMS", [Run((2, 3), dtype), Fixed([axis])], [out], dtype))
    climb(cases, tmp_path)
    assert all(isinstance(_lowered(case), Alias) for case in cases)


TRANSPOSES = [
    ((2, 3), (1, 0)),
    ((2, 3, 4), (2, 0, 1)),
    ((1, 5, 1, 7), (0, 3, 2, 1)),
    ((2, 3, 4, 5), (0, 1, 3, 2)),
    ((2, 3, 4, 5), (0, 2, 1, 3)),
    ((3, 2, 1, 2, 3), (4, 3, 2, 1, 0)),
    ((1, 1, 1), (2, 0, 1)),
    ((6,), (0,)),
]


def test_transpose(tmp_path: Path) -> None:
    def case(shape: tuple[int, ...], perm: tuple[int, ...], dtype: str) -> Case:
        out = tuple(shape[d] for d in perm)
        return one_op("TRANSPOSE", [Run(shape, dtype), Fixed(perm)], [out], dtype)

    pairs = spread(TRANSPOSES, ("INT8", "INT16", "FLOAT32"))
    climb([case(shape, perm, d) for (shape, perm), d in pairs], tmp_path)


def test_transpose_beyond_tflm(tmp_path: Path) -> None:
    cases = [
        one_op("TRANSPOSE", [Run((2, 3, 4), d), Fixed([2, 1, 0])], [(4, 3, 2)], d)
        for d in ("INT32", "INT64", "UINT8", "BOOL")
    ]
    perm = [5, 4, 3, 2, 1, 0]
    cases.append(
        one_op(
            "TRANSPOSE",
            [Run((2, 1, 3, 2, 1, 2), "INT8"), Fixed(perm)],
            [(2, 1, 2, 3, 1, 2)],
            "INT8",
        )
    )
    climb(cases, tmp_path, oracle="litert")


@pytest.mark.parametrize("perm", [[0, 0], [0, 2], [0]])
def test_transpose_refuses_what_is_no_permutation(perm: list[int]) -> None:
    case = one_op("TRANSPOSE", [Run((2, 3), "INT8"), Fixed(perm)], [(3, 2)], "INT8")
    with pytest.raises(UnsupportedError, match="not a permutation"):
        build_program(load_tflite(case.model), Isa())


SLICES: list[tuple[tuple[int, ...], list[int], list[int], tuple[int, ...]]] = [
    ((4, 3), [1, 0], [2, 3], (2, 3)),
    ((4, 8), [0, 2], [4, 3], (4, 3)),
    ((2, 3, 4, 5), [1, 1, 1, 1], [-1, 2, -1, 2], (1, 2, 3, 2)),
    ((2, 2, 2, 2, 2), [0, 1, 0, 1, 0], [2, 1, 2, 1, 2], (2, 1, 2, 1, 2)),
    ((5,), [4], [1], (1,)),
    ((3, 4), [0, 0], [3, 4], (3, 4)),
]


def _slice(shape: tuple[int, ...], begin: Any, size: Any, out: tuple[int, ...], d: str) -> Case:
    return one_op("SLICE", [Run(shape, d), begin, size], [out], d)


def test_slice(tmp_path: Path) -> None:
    cases = [
        _slice(s, Fixed(b), Fixed(n), out, d)
        for (s, b, n, out), d in spread(SLICES, ("INT8", "INT16", "INT32", "FLOAT32", "BOOL"))
    ]
    cases += [
        _slice(s, Fixed(b, "INT64"), Fixed(n, "INT64"), o, "INT8") for s, b, n, o in SLICES[2:4]
    ]
    climb(cases, tmp_path)


def test_slice_with_begin_at_run_time(tmp_path: Path) -> None:
    cases = []
    for dtype in ("INT32", "INT64"):
        for begin in ([0, 0], [2, 1], [1, 2]):
            run = Run((2,), dtype, np.array(begin, dtype.lower()))
            for data in ("INT8", "FLOAT32"):
                cases.append(_slice((4, 5), run, Fixed([2, 3], dtype), (2, 3), data))
    climb(cases, tmp_path)
    assert isinstance(_lowered(cases[0]), KernelCall)


def test_slice_refuses_a_box_that_leaves_the_input() -> None:
    case = _slice((4, 5), Fixed([3, 0]), Fixed([2, 5]), (2, 5), "INT8")
    with pytest.raises(UnsupportedError, match="leave the input"):
        build_program(load_tflite(case.model), Isa())


# shape, begin, end, strides, masks, output
STRIDED: list[tuple[tuple[int, ...], Any, Any, Any, dict[str, int], tuple[int, ...]]] = [
    ((4, 6), [1, 0], [3, 6], [1, 2], {}, (2, 3)),
    ((4, 6), [3, 5], [-5, -7], [-1, -2], {}, (4, 3)),
    ((4, 6), [-1, -2], [-3, 6], [-1, 1], {}, (2, 2)),
    ((4, 6), [0, 9], [99, 0], [3, -4], {}, (2, 2)),
    ((4, 6), [2, 2], [0, 0], [1, 1], {"begin_mask": 1, "end_mask": 3}, (4, 4)),
    ((4, 6), [1, -1], [0, 0], [1, 1], {"shrink_axis_mask": 3}, ()),
    ((2, 3, 4), [0, 1, 0], [2, 0, 4], [1, 1, 1], {"shrink_axis_mask": 2}, (2, 4)),
    ((1, 5, 5, 2), [0, 1, 1, 0], [1, 5, 5, 2], [1, 2, 3, 1], {}, (1, 2, 2, 2)),
    ((1, 4, 4, 2), [0, 0, 0, 0], [0, 4, 4, 2], [1, 1, 1, 1], {"end_mask": 1}, (1, 4, 4, 2)),
    ((5,), [4], [0], [-1], {"end_mask": 1}, (5,)),
    ((3,), [1], [2], [1], {}, (1,)),
]


def _strided(row: Any, dtype: str) -> Case:
    shape, begin, end, strides, masks, out = row
    inputs = [Run(shape, dtype), Fixed(begin), Fixed(end), Fixed(strides)]
    return one_op("STRIDED_SLICE", inputs, [out], dtype, masks)


def test_strided_slice(tmp_path: Path) -> None:
    types = ("INT8", "INT16", "INT32", "FLOAT32", "BOOL")
    climb([_strided(row, d) for row, d in spread(STRIDED, types)], tmp_path)


def test_strided_slice_beyond_tflm(tmp_path: Path) -> None:
    ellipsis = {"ellipsis_mask": 1}
    rows: list[Any] = [
        ((2, 3, 4), [0, 1], [0, 3], [1, 1], ellipsis, (2, 3, 2)),
        ((2, 3, 4), [1, 0, 1], [2, 0, 3], [1, 1, 1], {"new_axis_mask": 2}, (1, 1, 2, 4)),
        ((2, 3), [0, 0, 0], [0, 3, 0], [1, 1, 1], {**ellipsis, "new_axis_mask": 4}, (2, 3, 1)),
        ((2, 3, 4), [1], [2], [1], {}, (1, 3, 4)),
        ((2, 3, 2, 2, 2), [0, 2, 0, 0, 1], [2, 0, 2, 2, 2], [1, -1, 1, 1, 1], {}, (2, 2, 2, 2, 1)),
    ]
    climb([_strided(row, d) for row in rows for d in ("INT8", "INT64")], tmp_path, oracle="litert")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (((4,), [0], [4], [0], {}, (4,)), "stride 0"),
        (((4,), [4], [5], [1], {"shrink_axis_mask": 1}, ()), "index 4"),
        (((4,), [1], [2], [-1], {"shrink_axis_mask": 1}, ()), "stride -1"),
        (((4,), [0, 0], [4, 4], [1, 1], {}, (4,)), "2 slices"),
        (((4,), [0], [4], [1], {"offset": True}, (4,)), "offset"),
    ],
)
def test_strided_slice_refuses(row: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        build_program(load_tflite(_strided(row, "INT8").model), Isa())


REVERSES: list[tuple[tuple[int, ...], list[int]]] = [
    ((5,), [0]),
    ((2, 3, 4), [1]),
    ((2, 3, 4), [-1]),
    ((2, 3, 4), [0, 1]),
    ((2, 3, 4), [0, 1, 2]),
    ((1, 1), [0]),
]


def test_reverse(tmp_path: Path) -> None:
    types = ("INT8", "UINT8", "INT16", "INT32", "INT64", "FLOAT32", "BOOL")
    cases = [
        one_op("REVERSE_V2", [Run(shape, d), Fixed(axes)], [shape], d)
        for (shape, axes), d in spread(REVERSES, types)
    ]
    climb(cases, tmp_path)


def test_reverse_of_axes_that_are_no_neighbours(tmp_path: Path) -> None:
    # neither TFLM nor LiteRT has these
    shape = (2, 3, 4)
    cases = [one_op("REVERSE_V2", [Run(shape, "INT8"), Fixed([0, 2])], [shape], "INT8")]
    climb(cases, tmp_path, oracle="none")


def test_broadcast_to(tmp_path: Path) -> None:
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3,), (2, 3)),
        ((1,), (2, 3)),
        ((2, 1), (2, 3)),
        ((1, 4, 1, 2), (3, 4, 5, 2)),
        ((1, 1, 3), (2, 1, 2, 2, 3)),
        ((2, 3), (2, 3)),
    ]
    types = ("INT8", "INT16", "INT32", "FLOAT32", "BOOL")
    cases = [
        one_op("BROADCAST_TO", [Run(a, d), Fixed(b)], [b], d) for (a, b), d in spread(shapes, types)
    ]
    cases.append(
        one_op("BROADCAST_TO", [Run((1, 2), "INT8"), Fixed([3, 2], "INT64")], [(3, 2)], "INT8")
    )
    climb(cases, tmp_path)


def test_tile(tmp_path: Path) -> None:
    rows: list[tuple[tuple[int, ...], list[int]]] = [
        ((3,), [2]),
        ((2, 3), [1, 2]),
        ((2, 3), [3, 1]),
        ((2, 1, 3), [2, 4, 1]),
        ((2, 2, 2, 2), [2, 3, 2, 1]),
        ((2, 2, 2, 2), [2, 2, 2, 2]),
    ]
    cases = []
    for (shape, times), dtype in spread(rows, ("INT8", "INT32", "INT64", "FLOAT32", "BOOL")):
        out = tuple(n * size for n, size in zip(times, shape, strict=True))
        cases.append(one_op("TILE", [Run(shape, dtype), Fixed(times)], [out], dtype))
    climb(cases, tmp_path, oracle="litert")


def test_space_and_depth(tmp_path: Path) -> None:
    cases = []
    for n, h, w, c, block in ((1, 4, 4, 1, 2), (2, 6, 3, 5, 3), (1, 2, 2, 3, 1), (1, 2, 4, 2, 2)):
        space, depth = (n, h, w, c), (n, h // block, w // block, c * block * block)
        for dtype in ("INT8", "FLOAT32"):
            options = {"block_size": block}
            cases.append(one_op("SPACE_TO_DEPTH", [Run(space, dtype)], [depth], dtype, options))
            cases.append(one_op("DEPTH_TO_SPACE", [Run(depth, dtype)], [space], dtype, options))
    climb(cases, tmp_path)


def test_types_that_only_move(tmp_path: Path) -> None:
    # the element type changes nothing but the width: numpy is the judge where no oracle has it
    cases = [
        one_op("DEPTH_TO_SPACE", [Run((1, 2, 2, 4), d)], [(1, 4, 4, 1)], d, {"block_size": 2})
        for d in MOVED
    ]
    climb(cases, tmp_path, oracle="none")


def _chain(dtype: str) -> Case:
    """Slices and a padding in a row, each free to run over its own input."""
    model = ModelBuilder()
    x = model.input("x", (1, 12, 12, 5), dtype)

    def op(name: str, arguments: list[Any], shape: tuple[int, ...]) -> None:
        nonlocal x
        constants = [model.const(a, "INT32") for a in arguments]
        (x,) = model.op(name, [x, *constants], [spec(shape, dtype)])

    op("SLICE", [[0, 1, 2, 0], [1, 10, 9, 5]], (1, 10, 9, 5))
    op("STRIDED_SLICE", [[0, 1, 0, 1], [1, 10, 9, 5], [1, 2, 1, 3]], (1, 5, 9, 2))
    op("PAD", [[[0, 0], [2, 1], [1, 2], [0, 1]]], (1, 8, 12, 3))
    op("TRANSPOSE", [[0, 3, 1, 2]], (1, 3, 8, 12))
    model.output(x)
    rng = np.random.default_rng(6)
    return Case(dtype, model.build(), [[random_values(rng, (1, 12, 12, 5), dtype)]])


def test_moves_that_run_over_their_input(tmp_path: Path) -> None:
    cases = [_chain("INT8"), _chain("FLOAT32")]
    climb(cases, tmp_path)
    # the input alone has 720 elements, every later tensor lies inside its memory
    for case, size in zip(cases, (1, 4), strict=True):
        assert build_program(load_tflite(case.model), Isa()).arena_bytes == 720 * size


def test_constants_without_elements(tmp_path: Path) -> None:
    nothing = Fixed(np.zeros(0, np.int32))
    cases = [
        one_op("RESHAPE", [Run((1, 1), "INT8"), nothing], [()], "INT8"),
        one_op("BROADCAST_TO", [Run((), "FLOAT32"), nothing], [()], "FLOAT32"),
    ]
    climb(cases[:1], tmp_path)
    climb(cases[1:], tmp_path, oracle="none")


def test_empty_tensors(tmp_path: Path) -> None:
    cases = [
        _slice((2, 3), Fixed([0, 1]), Fixed([2, 0]), (2, 0), "INT8"),
        one_op("TRANSPOSE", [Run((0, 3), "INT8"), Fixed([1, 0])], [(3, 0)], "INT8"),
    ]
    climb(cases, tmp_path, oracle="none")
