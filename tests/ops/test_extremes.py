"""MAXIMUM, MINIMUM, SQUARED_DIFFERENCE, LOGICAL_AND and LOGICAL_OR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from tests.c_batch import compile_case
from tests.ops.element_cases import QUANTS, binary_case, broadcast_cases, every_byte
from tests.ops.ladder import climb


@pytest.mark.parametrize("op", ["MAXIMUM", "MINIMUM"])
@pytest.mark.parametrize("dtype", ["INT8", "INT16", "INT32", "INT64", "FLOAT32"])
def test_extremes(op: str, dtype: str, tmp_path: Path) -> None:
    climb(broadcast_cases(op, dtype, fused=False, one_scale=True), tmp_path)


def test_extremes_of_two_scales_are_refused() -> None:
    operands = [np.zeros(3, np.int8)] * 2
    case = binary_case("MAXIMUM", operands, ("INT8",) * 3, QUANTS["INT8"][0])
    with pytest.raises(UnsupportedError, match="different scales"):
        compile_case(case, "x")


@pytest.mark.parametrize("dtype", ["INT8", "INT16", "INT32", "FLOAT32"])
def test_squared_difference(dtype: str, tmp_path: Path) -> None:
    cases = broadcast_cases("SQUARED_DIFFERENCE", dtype, fused=False)
    if dtype == "INT8":
        pair = [every_byte("INT8").reshape(256, 1), every_byte("INT8").reshape(1, 256)]
        cases += [binary_case("SQUARED_DIFFERENCE", pair, (dtype,) * 3, q) for q in QUANTS["INT8"]]
    climb(cases, tmp_path)


@pytest.mark.parametrize("op", ["LOGICAL_AND", "LOGICAL_OR"])
def test_logical(op: str, tmp_path: Path) -> None:
    climb(broadcast_cases(op, "BOOL", fused=False), tmp_path)
