"""LOGISTIC and TANH of integers; floats are in test_activations.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from tests.c_batch import compile_case
from tests.ops.element_cases import every_byte, unary_case
from tests.ops.ladder import climb

BYTES = ("INT8", "INT8")
WORDS = ("INT16", "INT16")


@pytest.mark.parametrize(("op", "output"), [("LOGISTIC", (1 / 256, -128)), ("TANH", (1 / 128, 0))])
def test_sigmoid_int8_every_value(op: str, output: tuple[float, int], tmp_path: Path) -> None:
    inputs = [(0.05, -3), (0.1, -128), (0.1, 127), (1.0, 0), (0.0009, 9), (0.0625, 0), (7.5, -7)]
    cases = [unary_case(op, every_byte("INT8"), BYTES, (q, output)) for q in inputs]
    climb(cases, tmp_path)


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
def test_sigmoid_int16(op: str, tmp_path: Path) -> None:
    """Scales with and without an exact multiplier, every 7th value and the ends."""
    x = np.concatenate([np.arange(-32768, 32768, 7), [32767]]).astype(np.int16)
    scales = [2.0**-12, 2.0**-11, 2.0**-10, 2.0**-13, 0.0003, 0.00021, 0.011, 1e-6, 0.00048829]
    cases = [unary_case(op, x, WORDS, ((s, 0), (2.0**-15, 0))) for s in scales]
    climb(cases, tmp_path)


def test_sigmoid_output_scale_is_prescribed() -> None:
    case = unary_case("LOGISTIC", every_byte("INT8"), BYTES, ((0.1, 0), (0.004, -128)))
    with pytest.raises(UnsupportedError, match=r"TFLite prescribes 0\.00390625 and -128"):
        compile_case(case, "x")
