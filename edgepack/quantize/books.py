"""Books: binary weights of which every eight, in their order, are one of a layer's few vectors.

Cf. Y. Wang et al., "Sub-bit Neural Networks", ICCV 2021. A layer whose innermost dimension does not
divide into eights has no book: its weights are binary.
"""

from __future__ import annotations

import numpy as np

from edgepack.types import Array

VECTOR = 8
_ROUNDS = 20  # of k-means; what still moves then moves little


def has_book(shape: tuple[int, ...]) -> bool:
    """Whether weights of this shape can be made of vectors."""
    return shape[-1] % VECTOR == 0


def make_book(scaled: Array, size: int, seed: int = 0) -> Array:
    """Centres [size, VECTOR], float32 within -1 and 1, whose signs are the vectors.

    Args:
        scaled: weights over their scales; what is beyond 1 counts as 1.
    """
    groups = np.clip(scaled.reshape(-1, VECTOR), -1.0, 1.0).astype(np.float32)
    signs = np.where(groups >= 0, 1, -1).astype(np.int8)
    patterns, counts = np.unique(signs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    centres = patterns[order[:size]].astype(np.float32)
    if len(centres) < size:
        rng = np.random.default_rng(seed)
        more = rng.choice(np.array([-1.0, 1.0], np.float32), (size - len(centres), VECTOR))
        return np.concatenate([centres, more])
    for _ in range(_ROUNDS):
        nearest = (groups @ np.where(centres >= 0, 1.0, -1.0).T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, groups)
        members = np.bincount(nearest, minlength=size)[:, None]
        moved = np.where(members > 0, sums / np.maximum(members, 1), centres)
        if np.array_equal(moved >= 0, centres >= 0):
            return np.asarray(moved, np.float32)
        centres = moved
    return np.asarray(centres, np.float32)


def to_book(scaled: Array, size: int) -> Array:
    """Weights over their scales as +-1 of at most `size` different vectors.

    Those that are so already stay as they are.
    """
    signs = np.where(scaled >= 0, 1.0, -1.0).astype(scaled.dtype)
    if not has_book(scaled.shape):
        return signs
    groups = signs.reshape(-1, VECTOR)
    if len(np.unique(groups, axis=0)) <= size:
        return signs
    vectors = np.where(make_book(scaled, size) >= 0, 1.0, -1.0)
    nearest = (np.clip(scaled, -1, 1).reshape(-1, VECTOR) @ vectors.T).argmax(axis=1)
    return np.asarray(vectors[nearest].reshape(scaled.shape), scaled.dtype)
