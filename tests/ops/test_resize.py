"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR in every mode of pixel positions."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa, KernelCall
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.one_op import Fixed, Run, one_op, spread

SIZES: list[tuple[tuple[int, int], tuple[int, int]]] = [
    ((3, 4), (6, 8)),
    ((4, 4), (2, 2)),
    ((5, 3), (3, 7)),
    ((1, 1), (4, 3)),
    ((2, 5), (1, 1)),
    ((7, 2), (7, 2)),
    ((3, 3), (10, 11)),
]
MODES = [(False, False), (True, False), (False, True)]


def _resize(
    op: str,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    mode: tuple[bool, bool],
    dtype: str,
    batch: int = 1,
    channels: int = 3,
) -> Case:
    source, wanted = sizes
    options = {"align_corners": mode[0], "half_pixel_centers": mode[1]}
    inputs = [Run((batch, *source, channels), dtype), Fixed(wanted)]
    return one_op(op, inputs, [(batch, *wanted, channels)], dtype, options)


@pytest.mark.parametrize("mode", MODES)
def test_bilinear(mode: tuple[bool, bool], tmp_path: Path) -> None:
    pairs = spread(SIZES, ("INT8", "FLOAT32"))
    cases = [_resize("RESIZE_BILINEAR", sizes, mode, dtype) for sizes, dtype in pairs]
    cases.append(_resize("RESIZE_BILINEAR", SIZES[2], mode, "INT8", 2, 1))
    cases.append(_resize("RESIZE_BILINEAR", SIZES[2], mode, "FLOAT32", 2, 4))
    climb(cases, tmp_path)


@pytest.mark.parametrize("mode", [*MODES, (True, True)])
def test_nearest(mode: tuple[bool, bool], tmp_path: Path) -> None:
    pairs = spread(SIZES, ("INT8", "INT16", "FLOAT32"))
    cases = [_resize("RESIZE_NEAREST_NEIGHBOR", sizes, mode, d) for sizes, d in pairs]
    cases.append(_resize("RESIZE_NEAREST_NEIGHBOR", SIZES[2], mode, "INT8", 2, 17))
    climb(cases, tmp_path)


def test_whole_factors_need_no_table() -> None:
    for sizes, function in (
        (((3, 4), (6, 8)), "ep_move_s8"),
        (((6, 8), (3, 4)), "ep_move_s8"),
        (((3, 4), (5, 8)), "ep_resize_nearest_s8"),
    ):
        case = _resize("RESIZE_NEAREST_NEIGHBOR", sizes, MODES[0], "INT8")
        (call,) = build_program(load_tflite(case.model), Isa()).main.lowered
        assert isinstance(call, KernelCall)
        assert call.function == function


def test_bilinear_refuses_a_factor_at_which_tflite_leaves_its_input() -> None:
    # the scale 1024 / 2000 is rounded up to 1/1024, so that the last pixels lie beyond the input
    case = _resize("RESIZE_BILINEAR", ((1, 1), (2000, 1)), MODES[0], "INT8", 1, 1)
    with pytest.raises(UnsupportedError, match="reads input 1 of 1"):
        build_program(load_tflite(case.model), Isa())


def test_bilinear_refuses_both_modes_at_once() -> None:
    case = _resize("RESIZE_BILINEAR", SIZES[0], (True, True), "INT8")
    with pytest.raises(UnsupportedError, match="exclude each other"):
        build_program(load_tflite(case.model), Isa())
