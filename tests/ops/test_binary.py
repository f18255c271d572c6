"""SUB and MUL: broadcasting, constants, saturation, zero points, activations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import UnsupportedError
from tests.c_batch import Case, compile_case
from tests.ops.element_cases import QUANTS, binary_case, broadcast_cases, every_byte, spread
from tests.ops.ladder import climb
from tests.tflite_builder import ModelBuilder, spec


@pytest.mark.parametrize("op", ["SUB", "MUL"])
@pytest.mark.parametrize("dtype", ["INT8", "INT16", "INT32", "FLOAT32"])
def test_sub_and_mul(op: str, dtype: str, tmp_path: Path) -> None:
    cases = broadcast_cases(op, dtype, fused=True)
    if dtype == "INT8":
        pair = [every_byte("INT8").reshape(256, 1), every_byte("INT8").reshape(1, 256)]
        options = {"fused_activation_function": "NONE"}
        cases += [binary_case(op, pair, (dtype,) * 3, quant, options) for quant in QUANTS["INT8"]]
    climb(cases, tmp_path)


def test_sub_with_random_scales(tmp_path: Path) -> None:
    """Ratios of scales are rounded to float32 on the way, which a few fixed scales may not show."""
    rng = np.random.default_rng(14)
    cases = []
    for _ in range(24):
        scales = np.exp(rng.uniform(-7, 0, 3))
        quant = [(float(s), int(rng.integers(-128, 128))) for s in scales]
        operands = [spread("INT8", (1, 500), rng) for _ in range(2)]
        for op in ("SUB", "MUL"):
            cases.append(binary_case(op, operands, ("INT8",) * 3, quant))
    climb(cases, tmp_path)


def test_operands_that_do_not_broadcast_are_named() -> None:
    model = ModelBuilder()
    a, b = model.input("a", (3,), "FLOAT32"), model.input("b", (4,), "FLOAT32")
    model.output(*model.op("MUL", [a, b], [spec((4,), "FLOAT32")]))
    with pytest.raises(UnsupportedError, match=r"shapes \[3\] and \[4\] do not broadcast"):
        compile_case(Case("x", model.build(), []), "x")
