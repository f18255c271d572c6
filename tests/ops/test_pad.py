"""PAD, PADV2 and MIRROR_PAD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.one_op import Fixed, Run, one_op, spread

Pairs = list[list[int]]
PADS: list[tuple[tuple[int, ...], Pairs]] = [
    ((1, 3, 4, 2), [[0, 0], [1, 1], [1, 2], [0, 0]]),
    ((2, 3, 2, 3), [[1, 0], [0, 2], [1, 1], [2, 1]]),
    ((5,), [[3, 0]]),
    ((4, 3), [[0, 0], [0, 0]]),
    ((2, 2, 2, 2, 2), [[1, 1], [0, 1], [1, 0], [0, 0], [2, 2]]),
    ((1, 1, 1, 1), [[0, 0], [0, 1], [1, 0], [0, 0]]),
    ((1, 9, 9, 8), [[0, 0], [0, 1], [0, 1], [0, 0]]),
]


def _shape(shape: tuple[int, ...], pairs: Pairs) -> tuple[int, ...]:
    return tuple(low + n + high for n, (low, high) in zip(shape, pairs, strict=True))


def _pad(row: Any, dtype: str, zero_point: int = 0) -> Case:
    shape, pairs = row
    run = Run(shape, dtype, zero_point=zero_point)
    inputs = [run, Fixed(pairs)]
    return one_op("PAD", inputs, [_shape(*row)], dtype, zero_point=zero_point)


def test_pad(tmp_path: Path) -> None:
    cases = [_pad(row, d) for row, d in spread(PADS, ("INT8", "INT16", "INT32", "FLOAT32"))]
    cases += [_pad(PADS[0], "INT8", zero) for zero in (-128, 127, 5)]
    climb(cases, tmp_path)


def test_pad_runs_inside_its_output(tmp_path: Path) -> None:
    case = _pad(PADS[-1], "INT8")
    climb([case], tmp_path)
    padded = 1 * 10 * 10 * 8
    assert build_program(load_tflite(case.model), Isa()).arena_bytes <= padded + 80 + 16


def test_pad_beyond_tflm(tmp_path: Path) -> None:
    six = ((1, 2, 1, 2, 1, 2), [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0, 1]])
    climb(
        [_pad(six, "INT8"), _pad(PADS[1], "UINT8"), _pad(PADS[1], "BOOL")], tmp_path, oracle="none"
    )


def test_padv2(tmp_path: Path) -> None:
    cases = []
    for dtype, value in (("INT8", -7), ("INT16", 300), ("INT32", 1 << 20), ("FLOAT32", -1.5)):
        for row in PADS[:2]:
            fixed = Fixed(value, dtype, quantized=dtype == "INT8")
            inputs = [Run(row[0], dtype), Fixed(row[1]), fixed]
            cases.append(one_op("PADV2", inputs, [_shape(*row)], dtype))
    # a value that is computed at run time
    run = Run((1,), "FLOAT32", np.array([2.5], np.float32))
    inputs_: list[Any] = [Run(PADS[0][0], "FLOAT32"), Fixed(PADS[0][1]), run]
    cases.append(one_op("PADV2", inputs_, [_shape(*PADS[0])], "FLOAT32"))
    climb(cases, tmp_path)


def test_pad_refuses_negative_paddings() -> None:
    case = one_op("PAD", [Run((3,), "INT8"), Fixed([[-1, 0]])], [(2,)], "INT8")
    with pytest.raises(UnsupportedError, match="negative padding"):
        build_program(load_tflite(case.model), Isa())


MIRRORS: list[tuple[tuple[int, ...], Pairs]] = [
    ((4,), [[2, 3]]),
    ((3, 3), [[2, 1], [0, 2]]),
    ((1, 3, 4, 2), [[0, 0], [1, 2], [3, 1], [0, 0]]),
    ((2, 2, 3), [[0, 0], [1, 1], [2, 0]]),
    ((2, 2), [[0, 0], [0, 0]]),
]


def test_mirror_pad(tmp_path: Path) -> None:
    cases = []
    for mode in ("REFLECT", "SYMMETRIC"):
        for (shape, pairs), dtype in spread(MIRRORS, ("INT8", "FLOAT32")):
            inputs = [Run(shape, dtype), Fixed(pairs)]
            out = _shape(shape, pairs)
            cases.append(one_op("MIRROR_PAD", inputs, [out], dtype, {"mode": mode}))
    inputs64 = [Run((4,), "INT8"), Fixed([[1, 4]], "INT64")]
    cases.append(one_op("MIRROR_PAD", inputs64, [(9,)], "INT8", {"mode": "SYMMETRIC"}))
    climb(cases, tmp_path)


@pytest.mark.parametrize(("mode", "pad"), [("REFLECT", 4), ("SYMMETRIC", 5)])
def test_mirror_pad_refuses_more_than_the_image(mode: str, pad: int) -> None:
    inputs = [Run((4,), "INT8"), Fixed([[pad, 0]])]
    case = one_op("MIRROR_PAD", inputs, [(4 + pad,)], "INT8", {"mode": mode})
    with pytest.raises(UnsupportedError, match="larger than what"):
        build_program(load_tflite(case.model), Isa())
