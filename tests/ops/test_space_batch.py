"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.one_op import Fixed, Run, one_op, spread

Pairs = list[list[int]]

# space side, block, paddings or crops, batch side
ROWS: list[tuple[tuple[int, ...], list[int], Pairs, tuple[int, ...]]] = [
    ((1, 4, 6, 2), [2, 3], [[0, 0], [0, 0]], (6, 2, 2, 2)),
    ((2, 3, 5, 1), [2, 2], [[1, 0], [0, 1]], (8, 2, 3, 1)),
    ((1, 7, 7, 3), [2, 2], [[2, 3], [1, 2]], (4, 6, 5, 3)),
    ((1, 5, 4), [3], [[0, 1]], (3, 2, 4)),
    ((2, 1, 1, 20), [1, 1], [[0, 0], [0, 0]], (2, 1, 1, 20)),
]


def _to_batch(row: Any, dtype: str, zero_point: int = 0) -> Case:
    space, block, border, batch = row
    inputs = [Run(space, dtype, zero_point=zero_point), Fixed(block), Fixed(border)]
    return one_op("SPACE_TO_BATCH_ND", inputs, [batch], dtype, zero_point=zero_point)


def _to_space(row: Any, dtype: str) -> Case:
    space, block, border, batch = row
    inputs = [Run(batch, dtype), Fixed(block), Fixed(border)]
    return one_op("BATCH_TO_SPACE_ND", inputs, [space], dtype)


def test_space_to_batch(tmp_path: Path) -> None:
    # rows without padding
    cases = [_to_batch(row, d) for row in (ROWS[0], ROWS[4]) for d in ("INT8", "FLOAT32")]
    cases.append(_to_batch(ROWS[0], "INT8", 9))
    climb(cases, tmp_path)


def test_space_to_batch_pads_with_the_zero_point(tmp_path: Path) -> None:
    # TFLM pads with whatever lies in its arena (seen: -24); LiteRT defines what is meant
    cases = [_to_batch(row, "INT8", -5) for row in ROWS]
    cases += [_to_batch(row, "FLOAT32") for row in ROWS]
    climb(cases, tmp_path, oracle="litert")


def test_batch_to_space(tmp_path: Path) -> None:
    climb([_to_space(row, d) for row, d in spread(ROWS, ("INT8", "FLOAT32"))], tmp_path)


def test_types_beyond_tflm(tmp_path: Path) -> None:
    cases = [make(ROWS[2], "INT16") for make in (_to_batch, _to_space)]
    climb(cases, tmp_path, oracle="none")


@pytest.mark.parametrize(
    ("block", "border", "message"),
    [
        ([3, 2], [[0, 0], [0, 0]], "not divisible"),
        ([2, 0], [[0, 0], [0, 0]], "block shape"),
        ([2], [[0, 0], [0, 0]], "block shape"),
        ([2, 2], [[-2, 0], [0, 0]], "crops"),
    ],
)
def test_space_to_batch_refuses(block: list[int], border: Pairs, message: str) -> None:
    case = _to_batch(((1, 4, 6, 2), block, border, (4, 2, 3, 2)), "INT8")
    with pytest.raises(UnsupportedError, match=message):
        build_program(load_tflite(case.model), Isa())
