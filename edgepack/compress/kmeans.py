"""k-means of numbers: the few values that stand for all weights of a layer."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgepack.types import Array

Init = Literal["linear", "density", "random"]
_ITERATIONS = 200  # of Lloyd's algorithm, which has long settled by then


def kmeans(values: Array, count: int, init: Init, seed: int) -> Array:
    """Centroids of numbers, ascending; fewer than `count` where there are fewer different numbers.

    Args:
        values: of any shape, at least one.
        count: how many centroids.
        init: `linear`: even steps from the least to the largest. `density`: even steps of the
            distribution. `random`: k-means++ (Arthur and Vassilvitskii 2007). Han et al. 2016
            ("Deep Compression", arXiv:1510.00149) compare the three and prefer linear, which puts
            centroids at the few large weights too.
        seed: for `random`.
    """
    flat = np.sort(np.asarray(values, np.float64).reshape(-1))
    different = np.unique(flat)
    if len(different) <= count:
        return different
    if init == "linear":
        centroids = np.linspace(flat[0], flat[-1], count)
    elif init == "density":
        centroids = np.quantile(flat, (np.arange(count) + 0.5) / count)
    else:
        centroids = _plus_plus(flat, count, np.random.default_rng(seed))
    for _ in range(_ITERATIONS):
        index = nearest(flat, centroids)
        sizes = np.bincount(index, minlength=count)
        sums = np.bincount(index, weights=flat, minlength=count)
        moved = np.where(sizes > 0, sums / np.maximum(sizes, 1), centroids)
        empty = np.flatnonzero(sizes == 0)
        # a centroid without a number goes to where the error is largest
        errors = np.abs(different - centroids[nearest(different, centroids)])
        moved[empty] = different[np.argsort(-errors, kind="stable")[: len(empty)]]
        moved = np.sort(moved)
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def nearest(values: Array, centroids: Array) -> Array:
    """The index of the nearest of ascending centroids, for each value; of two the lower."""
    borders = (centroids[1:] + centroids[:-1]) / 2
    return np.searchsorted(borders, values)


def _plus_plus(flat: Array, count: int, generator: np.random.Generator) -> Array:
    chosen = [float(generator.choice(flat))]
    distance = (flat - chosen[0]) ** 2
    while len(chosen) < count:
        chosen.append(float(generator.choice(flat, p=distance / distance.sum())))
        distance = np.minimum(distance, (flat - chosen[-1]) ** 2)
    return np.sort(np.array(chosen))
