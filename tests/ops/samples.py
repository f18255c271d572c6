"""Inputs for op tests: random values, and the extremes that random values miss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepack.types import Array, DType


def sample(rng: np.random.Generator, dtype: str, shape: Sequence[int]) -> Array:
    """Values over the whole range of an integer or bool type; floats normal with deviation 2."""
    kind = DType(dtype).numpy
    if kind.kind == "f":
        return rng.normal(0, 2, shape).astype(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, endpoint=True, dtype=kind)


def constant(dtype: str, shape: Sequence[int], *, highest: bool) -> Array:
    """The type's largest or smallest value everywhere (floats: +-8), to saturate kernels."""
    kind = DType(dtype).numpy
    if kind.kind == "f":
        return np.full(shape, 8.0 if highest else -8.0, kind)
    if kind.kind == "b":
        return np.full(shape, highest, kind)
    info = np.iinfo(kind)
    return np.full(shape, info.max if highest else info.min, kind)


def samples(rng: np.random.Generator, dtype: str, shape: Sequence[int]) -> list[list[Array]]:
    """Inferences of a one-input model: random, all largest, all smallest."""
    return [
        [sample(rng, dtype, shape)],
        [constant(dtype, shape, highest=True)],
        [constant(dtype, shape, highest=False)],
    ]
