"""RESHAPE: shapes from the constant, the attribute or the file; no bytes move; refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import EdgepackError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Alias, Isa
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.samples import samples
from tests.tflite_builder import ModelBuilder, spec

TYPES = ("INT8", "INT16", "INT32", "INT64", "UINT8", "BOOL", "FLOAT32")


def _case(
    dtype: str,
    shape: tuple[int, ...],
    out: tuple[int, ...],
    wanted: Sequence[int] | None,
    *,
    attribute: bool = False,
) -> Case:
    """A model that is one RESHAPE; the wanted shape is a constant or an attribute, or absent."""
    rng = np.random.default_rng(1)
    scale = 0.1 if dtype in ("INT8", "INT16", "UINT8") else None
    model = ModelBuilder()
    x = model.input("x", shape, dtype, scale)
    operands: list[int | None] = [x]
    options = {}
    if wanted is not None and attribute:
        options = {"new_shape": list(wanted)}
    elif wanted is not None:
        operands.append(model.const(np.array(wanted, np.int32), "INT32"))
    model.output(*model.op("RESHAPE", operands, [spec(out, dtype, scale)], options))
    return Case(f"{dtype} {shape}->{out} as {wanted}", model.build(), samples(rng, dtype, shape))


def test_shapes(tmp_path: Path) -> None:
    cases = [_case(dtype, (2, 3, 4), (4, 6), (4, 6)) for dtype in TYPES]
    cases += [
        _case("INT8", (2, 3, 4), (2, 12), (2, -1)),
        _case("INT8", (2, 3, 4), (24,), (-1,)),
        _case("INT8", (1, 1, 1, 5), (1, 5), (1, 5), attribute=True),
        _case("INT8", (2, 3, 4), (3, 8), (-1, 8), attribute=True),
        _case("INT8", (1,), (1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1)),
    ]
    climb(cases, tmp_path)


def test_a_reshape_between_ops_costs_nothing() -> None:
    model = ModelBuilder()
    x = model.input("x", (1, 2, 3, 4), "FLOAT32")
    (a,) = model.op("ABS", [x], [spec((1, 2, 3, 4), "FLOAT32")])
    (b,) = model.op("RESHAPE", [a], [spec((1, 24), "FLOAT32")], {"new_shape": [1, 24]})
    model.output(*model.op("ABS", [b], [spec((1, 24), "FLOAT32")]))
    program = build_program(load_tflite(model.build(), name="free"), Isa())
    assert [isinstance(step, Alias) for step in program.main.lowered] == [False, True, False]
    assert program.arena_bytes == 24 * 4


@pytest.mark.parametrize("wanted", [(5, 5), (-1, -1), (-1, 7)])
def test_impossible_shapes_are_refused(wanted: tuple[int, ...]) -> None:
    case = _case("INT8", (2, 3, 4), (4, 6), wanted)
    with pytest.raises(EdgepackError, match="24 elements do not fit shape"):
        build_program(load_tflite(case.model, name="refused"), Isa())
