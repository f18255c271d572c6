"""Which weights to keep: masks by magnitude or by any other score, in NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgepack.types import Array

Scope = Literal["layer", "global"]


def magnitude_masks(
    weights: Sequence[Array],
    previous: Sequence[Array],
    sparsity: float,
    scope: Scope,
    layer_limit: float = 1.0,
) -> list[Array]:
    """Masks that drop the smallest weights: `score_masks` of the magnitudes."""
    scores = [np.abs(weight) for weight in weights]
    return score_masks(scores, previous, sparsity, scope, layer_limit)


def score_masks(
    scores: Sequence[Array],
    previous: Sequence[Array],
    sparsity: float,
    scope: Scope,
    layer_limit: float = 1.0,
) -> list[Array]:
    """Masks that drop what has the smallest scores.

    Args:
        scores: one array of non-negative numbers per layer, of any shape.
        previous: the masks so far (bool, same shapes); what is dropped in them stays dropped.
        sparsity: the fraction to drop, 0 to 1: of every array on its own (`layer`), or of all
            together (`global`). Rounded to a whole number.
        scope: `layer` or `global`.
        layer_limit: the largest fraction that `global` may drop of one array.

    Returns:
        A bool array per layer, True where the weight stays. Among equal scores the one of the
        lower index is dropped first, so that the result does not depend on the sorting algorithm.
    """
    # A dropped weight is smaller than any kept one, also than a kept one that happens to be zero.
    ranked = [
        np.where(mask, score, -1.0).ravel() for score, mask in zip(scores, previous, strict=True)
    ]
    if scope == "layer":
        kept = [_keep_largest(score, _count(sparsity, score.size)) for score in ranked]
    else:
        kept = _keep_globally(ranked, sparsity, layer_limit)
    return [flat.reshape(mask.shape) & mask for flat, mask in zip(kept, previous, strict=True)]


def _count(sparsity: float, size: int) -> int:
    """Half up, not half to even: the count then grows with the sparsity in every case."""
    return math.floor(sparsity * size + 0.5)


def _keep_largest(scores: Array, drop: int) -> Array:
    kept = np.ones(scores.size, dtype=np.bool_)
    kept[np.argsort(scores, kind="stable")[:drop]] = False
    return kept


def _keep_globally(scores: list[Array], sparsity: float, layer_limit: float) -> list[Array]:
    protected = [
        np.where(_keep_largest(score, math.floor(layer_limit * score.size)), np.inf, score)
        for score in scores
    ]
    everything = np.concatenate(protected)
    droppable = int(np.isfinite(everything).sum())
    kept = _keep_largest(everything, min(_count(sparsity, everything.size), droppable))
    borders = np.cumsum([score.size for score in scores])[:-1]
    return [np.asarray(part) for part in np.split(kept, borders)]
