"""Cases of one op over random data, for ops that move elements and do not look at scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from edgepack.types import Array
from tests.c_batch import Case
from tests.tflite_builder import ModelBuilder, spec

T = TypeVar("T")

NUMPY = {
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
    "FLOAT32": np.float32,
}
MOVED = tuple(NUMPY)
_SCALED = ("INT8", "INT16", "UINT8")


class Given:
    """An input of the op."""


@dataclass(frozen=True)
class Run(Given):
    """A run-time input; random over the type's range unless `values` are given."""

    shape: tuple[int, ...]
    dtype: str
    values: Array | None = None
    zero_point: int = 0


@dataclass(frozen=True)
class Fixed(Given):
    """A constant input; `quantized` gives it the scale of the run-time inputs."""

    values: Any
    dtype: str = "INT32"
    quantized: bool = False
    zero_point: int = 0


SCALE = 0.25


def random_values(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> Array:
    """Over the whole range of the type, the extremes included."""
    kind = np.dtype(NUMPY[dtype])
    if kind.kind == "f":
        return rng.normal(0, 4, shape).astype(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    info: Any = np.iinfo(kind.name)
    return rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)


def one_op(
    op: str,
    inputs: Sequence[Given | None],
    outputs: Sequence[Sequence[int]],
    dtype: str,
    options: Mapping[str, Any] | None = None,
    *,
    zero_point: int = 0,
    seed: int = 1,
    samples: int = 2,
) -> Case:
    """A model of one op; outputs are given by their shapes and have type `dtype`.

    int8, int16 and uint8 tensors get one scale, so that quantized kernels accept them.
    """
    rng = np.random.default_rng(seed)
    model = ModelBuilder()
    handles: list[int | None] = []
    runs: list[Run] = []
    for slot, given in enumerate(inputs):
        if given is None:
            handles.append(None)
        elif isinstance(given, Fixed):
            scale = SCALE if given.quantized else None
            handles.append(model.const(given.values, given.dtype, scale, given.zero_point))
        else:
            assert isinstance(given, Run)
            scale = SCALE if given.dtype in _SCALED else None
            handles.append(
                model.input(f"x{slot}", given.shape, given.dtype, scale, given.zero_point)
            )
            runs.append(given)
    scale = SCALE if dtype in _SCALED else None
    made = model.op(
        op, handles, [spec(s, dtype, scale, zero_point) for s in outputs], options or {}
    )
    model.output(*made)
    data = [
        [
            run.values if run.values is not None else random_values(rng, run.shape, run.dtype)
            for run in runs
        ]
        for _ in range(samples)
    ]
    shown = [
        g.shape if isinstance(g, Run) else g.values if isinstance(g, Fixed) else None
        for g in inputs
    ]
    return Case(f"{op} {dtype} {shown} {dict(options or {})}", model.build(), data)


def spread(rows: Sequence[T], dtypes: Sequence[str]) -> list[tuple[T, str]]:
    """Every row with the first type, the others with every fourth row, each type another one."""
    pairs = [(row, dtypes[0]) for row in rows]
    for number, dtype in enumerate(dtypes[1:]):
        pairs += [(row, dtype) for row in rows[number % 4 :: 4] or rows[:1]]
    return pairs
