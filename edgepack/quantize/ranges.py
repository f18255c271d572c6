"""Ranges of activations from samples: which values a tensor must be able to hold.

Methods: the extremes; a moving average of each sample's extremes; percentiles; the range that
gives the least squared error (of a uniform 8-bit grid); the one that keeps most information
(Kullback-Leibler divergence, as in Migacz, "8-bit inference with TensorRT", GTC 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edgepack.models.progress import Progress, silent
from edgepack.quantize.observe import Key, Observer
from edgepack.types import Array

Method = Literal["minmax", "moving-average", "percentile", "mse", "entropy"]
METHODS: tuple[Method, ...] = ("minmax", "moving-average", "percentile", "mse", "entropy")
DEFAULT_PERCENTILE = 99.99
_MOMENTUM = 0.95  # of the moving average: what each further sample leaves of the average
_BINS = 2048
_LEVELS = 256
_CANDIDATES = 48  # places tried for each end of a range, for mse and entropy
_NARROWEST = 0.02  # of the extreme
_STAGE = "calibrate"


@dataclass
class TensorStats:
    """What was seen of one tensor.

    Attributes:
        low, high: the extremes.
        lows, highs: those of each sample, in order.
        channel_low, channel_high: the extremes along the last axis.
        total, count: of the values, for their mean.
        histogram: counts of `_BINS` equal bins from low to high; None where no method needs it.
    """

    low: float = np.inf
    high: float = -np.inf
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    channel_low: Array | None = None
    channel_high: Array | None = None
    histogram: Array | None = None


Stats = dict[Key, TensorStats]
Samples = Sequence[tuple[Array, ...]]


def collect(
    observer: Observer, samples: Samples, method: Method, progress: Progress = silent
) -> Stats:
    """Run a float model on samples, once for the extremes and once for histograms if needed.

    Args:
        observer: the model.
        samples: inputs as the model stores them, batch axis included.
        method: decides whether histograms are needed.
        progress: told of each sample.
    """
    stats: Stats = {}
    passes = 1 if method in ("minmax", "moving-average") else 2
    for index, sample in _told(samples, 0, passes, progress):
        _extremes(observer, sample, stats, index)
    if passes == 2:
        for entry in stats.values():
            entry.histogram = np.zeros(_BINS, np.int64)
        for _, sample in _told(samples, 1, passes, progress):
            for seen in observer.run(sample):
                if seen.key in stats and seen.value.dtype == np.float32:
                    entry = stats[seen.key]
                    bins = (entry.low, max(entry.high, np.nextafter(entry.low, np.inf)))
                    entry.histogram += np.histogram(seen.value, _BINS, bins)[0]
    return stats


def _told(
    samples: Samples, number: int, passes: int, progress: Progress
) -> Iterator[tuple[int, tuple[Array, ...]]]:
    every = max(1, len(samples) // 20)
    for index, sample in enumerate(samples):
        if index % every == 0:
            share = (number + index / len(samples)) / passes
            progress(_STAGE, share, f"sample {index + 1}/{len(samples)}")
        yield index, sample
    progress(_STAGE, (number + 1) / passes, f"{len(samples)} samples")


def _extremes(observer: Observer, sample: tuple[Array, ...], stats: Stats, index: int) -> None:
    for seen in observer.run(sample):
        value = seen.value
        if value.dtype != np.float32:
            continue
        entry = stats.setdefault(seen.key, TensorStats())
        columns = value.reshape(-1, value.shape[-1]) if value.ndim else value.reshape(1, 1)
        low, high = columns.min(axis=0), columns.max(axis=0)
        if entry.channel_low is None or entry.channel_high is None:
            entry.channel_low, entry.channel_high = low, high
        elif len(low) == len(entry.channel_low):
            entry.channel_low = np.minimum(entry.channel_low, low)
            entry.channel_high = np.maximum(entry.channel_high, high)
        least, most = float(low.min()), float(high.max())
        entry.low, entry.high = min(entry.low, least), max(entry.high, most)
        if len(entry.lows) > index:  # a loop: the same sample again
            least, most = min(least, entry.lows[-1]), max(most, entry.highs[-1])
            entry.lows[-1], entry.highs[-1] = least, most
        else:
            entry.lows.append(least)
            entry.highs.append(most)


def ranges_of(
    stats: Mapping[Key, TensorStats], method: Method, percentile: float = DEFAULT_PERCENTILE
) -> dict[Key, tuple[float, float]]:
    """The range of each tensor.

    Args:
        stats: from `collect` with the same method.
        method: how.
        percentile: for that method, the share of values inside, in percent.
    """
    choose: dict[Method, Callable[[TensorStats], tuple[float, float]]] = {
        "minmax": lambda s: (s.low, s.high),
        "moving-average": lambda s: (_average(s.lows), _average(s.highs)),
        "percentile": lambda s: _percentile(s, percentile),
        "mse": _least_error,
        "entropy": _most_information,
    }
    return {key: choose[method](entry) for key, entry in stats.items()}


def _average(values: Sequence[float]) -> float:
    average = values[0]
    for value in values[1:]:
        average = _MOMENTUM * average + (1 - _MOMENTUM) * value
    return average


def _edges(stats: TensorStats) -> Array:
    return np.linspace(stats.low, max(stats.high, np.nextafter(stats.low, np.inf)), _BINS + 1)


def _percentile(stats: TensorStats, percentile: float) -> tuple[float, float]:
    assert stats.histogram is not None
    share = np.concatenate([[0.0], np.cumsum(stats.histogram) / max(1, stats.histogram.sum())])
    edges = _edges(stats)
    outside = (100.0 - percentile) / 200.0
    low = edges[max(0, int(np.searchsorted(share, outside, side="right")) - 1)]
    high = edges[min(_BINS, int(np.searchsorted(share, 1.0 - outside, side="left")))]
    return float(low), float(high)


def _search(stats: TensorStats, cost: Callable[[float, float], float]) -> tuple[float, float]:
    """The range of least cost: one end after the other moves inwards, the farther one first.

    Both ends keep their side of 0, which every range holds.
    """
    span = [min(stats.low, 0.0), max(stats.high, 0.0)]
    factors = np.geomspace(1.0, _NARROWEST, _CANDIDATES)
    order = (0, 1) if -span[0] > span[1] else (1, 0)
    for end in (*order, *order):
        farthest = (min(stats.low, 0.0), max(stats.high, 0.0))[end]
        if farthest == 0:
            continue
        tried = []
        for factor in factors:
            span[end] = farthest * float(factor)
            tried.append(cost(*span))
        span[end] = farthest * float(factors[int(np.argmin(tried))])
    return span[0], span[1]


def _centres(stats: TensorStats) -> Array:
    edges = _edges(stats)
    return np.asarray((edges[1:] + edges[:-1]) / 2)


def _least_error(stats: TensorStats) -> tuple[float, float]:
    assert stats.histogram is not None
    centres, counts = _centres(stats), stats.histogram.astype(np.float64)

    def error(low: float, high: float) -> float:
        step = (high - low) / (_LEVELS - 1)
        stored = np.rint((np.clip(centres, low, high) - low) / step) * step + low
        # where in its bin a value lies is not known; the grid's own error there is step^2 / 12
        inside = counts[(centres >= low) & (centres <= high)].sum()
        return float(((stored - centres) ** 2 * counts).sum() + inside * step**2 / 12)

    return _search(stats, error)


def _most_information(stats: TensorStats) -> tuple[float, float]:
    assert stats.histogram is not None
    centres = _centres(stats)
    counts = stats.histogram.astype(np.float64)
    # Exact zeros, of which a ReLU makes most of a tensor, are stored exactly by any range.
    counts[np.abs(centres) <= (centres[1] - centres[0]) / 2] = 0
    if counts.sum() == 0:
        return stats.low, stats.high
    return _search(stats, lambda low, high: _divergence(centres, counts, low, high))


def _divergence(centres: Array, counts: Array, low: float, high: float) -> float:
    """KL divergence of the values, saturated at the range's ends, from what its grid can tell."""
    inside = (centres >= low) & (centres <= high)
    if not inside.any():
        return float("inf")
    p = counts[inside].copy()
    q_source = counts[inside]
    p[0] += counts[centres < low].sum()
    p[-1] += counts[centres > high].sum()
    level = np.minimum(((centres[inside] - low) / (high - low) * _LEVELS).astype(int), _LEVELS - 1)
    filled = (q_source > 0).astype(np.float64)
    total = np.bincount(level, q_source, _LEVELS)
    bins = np.bincount(level, filled, _LEVELS)
    q = np.where(filled > 0, (total / np.maximum(bins, 1))[level], 0.0)
    p, q = p / max(p.sum(), 1.0), q / max(q.sum(), 1.0)
    tiny = 1e-10  # what a bin without values counts as, so that the logarithm is finite
    used = p > 0
    return float((p[used] * np.log(p[used] / np.maximum(q[used], tiny))).sum())
