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
_CANDIDATES = 64  # ranges tried for mse and entropy
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


def _candidates(stats: TensorStats) -> Iterator[tuple[float, float]]:
    """Ranges from the full one inwards; one that begins at 0 keeps doing so."""
    for step in range(_CANDIDATES):
        factor = 1.0 - step / _CANDIDATES * 0.9
        yield min(stats.low, 0.0) * factor, max(stats.high, 0.0) * factor


def _centres(stats: TensorStats) -> Array:
    edges = _edges(stats)
    return np.asarray((edges[1:] + edges[:-1]) / 2)


def _least_error(stats: TensorStats) -> tuple[float, float]:
    assert stats.histogram is not None
    centres, best, found = _centres(stats), np.inf, (stats.low, stats.high)
    for low, high in _candidates(stats):
        step = (high - low) / (_LEVELS - 1)
        if step <= 0:
            break
        stored = np.rint((np.clip(centres, low, high) - low) / step) * step + low
        error = float(((stored - centres) ** 2 * stats.histogram).sum())
        # inside a bin the position is not known; the grid's own error there is step^2 / 12
        inside = stats.histogram[(centres >= low) & (centres <= high)].sum()
        error += float(inside) * step**2 / 12
        if error < best:
            best, found = error, (low, high)
    return found


def _most_information(stats: TensorStats) -> tuple[float, float]:
    assert stats.histogram is not None
    centres = _centres(stats)
    counts = stats.histogram.astype(np.float64).copy()
    # Exact zeros, of which a ReLU makes most of a tensor, are stored exactly by any range.
    zero = np.abs(centres) <= (centres[1] - centres[0]) / 2
    counts[zero] = 0
    best, found = np.inf, (stats.low, stats.high)
    for low, high in _candidates(stats):
        if high <= low or counts.sum() == 0:
            break
        divergence = _divergence(centres, counts, low, high)
        if divergence < best:
            best, found = divergence, (low, high)
    return found


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
