"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_ALL: axes, ranks, rescaling, overflow, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgepack.emit.program import build_program
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa
from edgepack.ops.shared.reduce import plan_reduce
from tests.c_batch import Case
from tests.ops.ladder import Tolerance, climb
from tests.ops.samples import samples
from tests.tflite_builder import ModelBuilder, spec

# Sums of up to 1,400 values of magnitude up to 8; numpy adds pairwise, the kernels in order.
SUMS = Tolerance(2e-6, 2e-3, "order of float32 additions")

# shape, axes
SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((1, 7, 5, 6), (1, 2)),  # global average pooling
    ((2, 4, 3, 3), (2, 1)),
    ((2, 3, 4), (-1,)),
    ((2, 3, 4), (0, 2, 0)),  # an axis twice
    ((5,), (0,)),
    ((1, 1, 1, 1), (1, 2)),
    ((3, 4), (0, 1)),
    ((2, 3, 2, 4, 3), (1, 3)),
    ((2, 3, 2, 2, 2, 3), (0, 2, 4)),
    ((1, 37, 38, 1), (1, 2)),  # a count that is no power of two
]


def _case(
    op: str,
    dtype: str,
    shape: tuple[int, ...],
    axes: Sequence[int],
    rng: np.random.Generator,
    *,
    keep: bool = True,
    source: tuple[float, int] = (0.05, -7),
    target: tuple[float, int] = (0.05, -7),
) -> Case:
    if dtype == "INT16":
        source, target = (source[0], 0), (target[0], 0)
    quantized = dtype in ("INT8", "INT16")
    model = ModelBuilder()
    x = model.input("x", shape, dtype, *(source if quantized else (None, 0)))
    wanted = {a % len(shape) for a in axes}
    out = [1 if d in wanted else n for d, n in enumerate(shape) if keep or d not in wanted]
    made = spec(out, dtype, *(target if quantized else (None, 0)))
    axis = model.const(np.array(axes, np.int32), "INT32")
    model.output(*model.op(op, [x, axis], [made], {"keep_dims": keep}))
    name = f"{op} {dtype} {shape} over {axes} keep {keep} {source}->{target}"
    return Case(name, model.build(), samples(rng, dtype, shape))


@pytest.mark.parametrize(
    ("op", "dtypes"),
    [
        ("MEAN", ("INT8", "INT16", "FLOAT32")),
        ("SUM", ("INT8", "INT16", "FLOAT32")),
        ("REDUCE_MAX", ("INT8", "FLOAT32")),
        ("REDUCE_MIN", ("INT8", "FLOAT32")),
        ("REDUCE_ALL", ("BOOL",)),
    ],
)
def test_shapes(op: str, dtypes: Sequence[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = [
        _case(op, dtype, shape, axes, rng, keep=keep)
        for dtype in dtypes
        for shape, axes in SHAPES
        for keep in (True, False)
    ]
    climb(cases, tmp_path, tolerance=SUMS)


def test_types_that_only_litert_has(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    pairs = [(op, t) for op in ("REDUCE_MAX", "REDUCE_MIN") for t in ("INT16", "INT32")]
    cases = [_case(*p, s, a, rng) for p in [*pairs, ("SUM", "INT32")] for s, a in SHAPES[:4]]
    climb(cases, tmp_path, oracle="litert")


def test_rescaling(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    targets = [(0.05, -128), (0.4, 127), (0.0131, -50), (1e-5, 0), (3e3, 9), (1e9, -1)]
    cases = []
    for op in ("MEAN", "SUM"):
        for target in targets:
            for zero in (-128, 127):
                source = (0.05, zero)
                for t in ("INT8", "INT16"):
                    made = _case(op, t, (2, 6, 7, 3), (1, 2), rng, source=source, target=target)
                    cases.append(made)
    climb(cases, tmp_path)


def test_global_mean_is_one_loop_over_the_pixels() -> None:
    plan = plan_reduce((1, 7, 5, 6), (1, 2))
    assert plan.kept == ((6, 1),)
    assert plan.reduced == ((35, 6),)


def _refused(case: Case, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        build_program(load_tflite(case.model, name="refused"), Isa())


def test_refusals() -> None:
    rng = np.random.default_rng(4)
    two = _case("REDUCE_MAX", "INT8", (2, 3), (1,), rng, source=(0.05, 0), target=(0.06, 0))
    _refused(two, "one scale and zero point")
    model = ModelBuilder()
    x = model.input("x", (2, 3), "INT8", 0.05)
    axis = model.input("axis", (1,), "INT32")
    model.output(*model.op("MEAN", [x, axis], [spec((2, 1), "INT8", 0.05)], {"keep_dims": True}))
    _refused(Case("", model.build(), []), "axes .input 1. is computed at run time")
