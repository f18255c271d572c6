"""BATCH_MATMUL: transpositions, broadcast batches, constant operands, saturation, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from tests.c_batch import Case
from tests.ops.ladder import climb
from tests.ops.samples import constant, sample
from tests.ops.weighted_model import DOT_PRODUCTS
from tests.tflite_builder import ModelBuilder, spec

# [..., rows, depth], [..., depth, columns] before transposition
SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3, 4), (4, 5)),
    ((1, 1), (1, 1)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 3, 4), (1, 4, 2)),
    ((1, 3, 4), (3, 4, 2)),
    ((2, 3, 4), (4, 2)),
    ((4, 2), (3, 2, 5)),
    ((2, 1, 3, 4), (1, 3, 4, 2)),
    ((2, 3, 2, 4), (3, 4, 2)),
    ((2, 2, 3, 1, 4), (2, 1, 3, 4, 2)),
]
ADJOINTS = [(False, False), (True, False), (False, True), (True, True)]


def _swap(shape: tuple[int, ...], wanted: bool) -> tuple[int, ...]:
    return (*shape[:-2], shape[-1], shape[-2]) if wanted else shape


def _case(
    dtype: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    adjoint: tuple[bool, bool],
    rng: np.random.Generator,
    *,
    constants: Sequence[int] = (),
    zeros: tuple[int, int, int] = (-4, 7, 3),
    factor: float = 0.004,
) -> Case:
    scales = (None, None, None) if dtype == "FLOAT32" else (0.05, 0.02, 0.05 * 0.02 / factor)
    zeros = zeros if dtype == "INT8" else (0, 0, 0)
    model = ModelBuilder()
    sides = [_swap(shape, swap) for shape, swap in zip(shapes, adjoint, strict=True)]
    operands: list[int | None] = []
    runs: list[list[np.ndarray]] = [[], [], []]
    for slot, side in enumerate(sides):
        if slot in constants:
            value = sample(rng, dtype, side)
            operands.append(model.const(value, dtype, scales[slot], zeros[slot]))
            continue
        operands.append(model.input(f"in{slot}", side, dtype, scales[slot], zeros[slot]))
        runs[0].append(sample(rng, dtype, side))
        runs[1].append(constant(dtype, side, highest=True))
        runs[2].append(constant(dtype, side, highest=slot == 0))
    batch = np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2])
    made = spec((*batch, shapes[0][-2], shapes[1][-1]), dtype, scales[2], zeros[2])
    options = {"adj_x": adjoint[0], "adj_y": adjoint[1]}
    model.output(*model.op("BATCH_MATMUL", operands, [made], options))
    name = f"{dtype} {sides} adjoint {adjoint} constants {constants} {zeros} {factor}"
    return Case(name, model.build(), runs)


@pytest.mark.parametrize("dtype", ["INT8", "INT16", "FLOAT32"])
def test_shapes(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [_case(dtype, shapes, ADJOINTS[n % 4], rng) for n, shapes in enumerate(SHAPES)]
    cases += [_case(dtype, ((2, 3, 4), (2, 4, 5)), a, rng) for a in ADJOINTS]
    cases += [
        _case(dtype, ((2, 3, 4), (2, 4, 5)), a, rng, constants=[slot])
        for a in ADJOINTS
        for slot in (0, 1)
    ]
    climb(cases, tmp_path, tolerance=DOT_PRODUCTS)


def test_quantization_extremes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    shapes = ((2, 3, 4), (1, 4, 5))
    cases = [
        _case("INT8", shapes, (False, False), rng, zeros=z)
        for z in ((-128, 127, -128), (127, -128, 127), (0, 0, 0))
    ]
    cases += [
        _case("INT8", shapes, (False, True), rng, factor=f) for f in (0.7, 900.0, 3e6, 1e-9, 1e-12)
    ]
    cases += [_case("INT16", shapes, (True, False), rng, factor=f) for f in (0.7, 30.0, 1e-7, 1e-9)]
    climb(cases, tmp_path)


def test_refusals() -> None:
    rng = np.random.default_rng(3)
    wide = _case("INT16", ((2, 3), (3, 2)), (False, False), rng, factor=300.0)
    with pytest.raises(UnsupportedError, match=r"factor of 2\*\*9"):
        build_program(load_tflite(wide.model, name="refused"), Isa())
    model = ModelBuilder()
    a, b = model.input("a", (2, 3), "FLOAT32"), model.input("b", (3, 2), "INT8", 0.1)
    model.output(*model.op("BATCH_MATMUL", [a, b], [spec((2, 2), "FLOAT32")]))
    with pytest.raises(UnsupportedError, match="must have one type"):
        build_program(load_tflite(model.build(), name="hybrid"), Isa())
