"""How good a model's outputs are: float beside integer, with what the number of samples allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.models.metrics import evaluate as main_metric
from edgepack.models.progress import Progress, silent
from edgepack.quantize.observe import Observer
from edgepack.quantize.params import QParams
from edgepack.types import Array

_Z95 = 1.959964  # the normal distribution's 97.5 % quantile


@dataclass(frozen=True)
class Score:
    """One model on some samples.

    Attributes:
        metric: top1 (in 0..1), auc, mse, or the name of the user's function.
        value: of it.
        n: samples.
        interval: of 95 % for a share (Wilson), else None.
        details: further figures by name: top5 (or another k), recall per class, the confusion
            matrix, psnr.
    """

    metric: str
    value: float
    n: int
    interval: tuple[float, float] | None
    details: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        interval = None if self.interval is None else list(self.interval)
        return {
            "metric": self.metric,
            "value": self.value,
            "n": self.n,
            "interval95": interval,
            **self.details,
        }

    def __str__(self) -> str:
        if self.metric == "top1" and self.interval is not None:
            low, high = (100 * end for end in self.interval)
            return f"{100 * self.value:.2f} % top-1 of {self.n} (95 %: {low:.1f} to {high:.1f})"
        return f"{self.metric} {self.value:.6g} over {self.n}"


@dataclass(frozen=True)
class Agreement:
    """How near an integer model's outputs are to the float model's on the same samples.

    Attributes:
        sqnr_db: signal power over error power of all output values, in dB; None if equal.
        max_abs: the largest difference, in the output's unit.
        cosine: of the two vectors of all output values.
        same_class: share of samples with the same largest output; None for a single value.
        better, worse: samples that only the integer, or only the float model gets right.
    """

    sqnr_db: float | None
    max_abs: float
    cosine: float
    same_class: float | None
    better: int | None = None
    worse: int | None = None


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, after Wilson (1927)."""
    share, z2 = hits / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def run_model(
    data: bytes,
    samples: Sequence[tuple[Array, ...]],
    inputs: Sequence[QParams | None],
    outputs: Sequence[QParams | None],
    progress: Progress = silent,
    stage: str = "evaluate",
) -> list[Array]:
    """Real-valued outputs of a model, float or quantized, for float samples.

    Args:
        data: the `.tflite`.
        samples: float inputs, batch axis included.
        inputs, outputs: how the model stores each; None for float.
        progress, stage: told the share done.

    Returns:
        One array per output, axis 0 the sample.
    """
    observer = Observer(data, only=())
    found: list[list[Array]] = [[] for _ in outputs]
    every = max(1, len(samples) // 20)
    for index, sample in enumerate(samples):
        if index % every == 0:
            progress(stage, index / len(samples), f"sample {index + 1}/{len(samples)}")
        stored = [a if p is None else p.store(a) for a, p in zip(sample, inputs, strict=True)]
        for column, value, params in zip(found, observer.outputs(stored), outputs, strict=True):
            real = value if params is None else params.real(value)
            column.append(real.copy())
    progress(stage, 1.0, f"{len(samples)} samples")
    return [_joined(column) for column in found]


def _joined(column: list[Array]) -> Array:
    """Outputs of batch 1 along the sample axis."""
    if column[0].ndim and column[0].shape[0] == 1:
        return np.concatenate(column)
    return np.stack(column)


def score(outputs: Array, labels: Array | None, top_k: int = 5) -> Score | None:
    """Figures for one output; None where labels are missing or do not fit.

    Args:
        outputs: [n, ...].
        labels: [n] classes, or numbers of the outputs' own shape.
        top_k: of classifiers with more classes, also how often the label is among so many.
    """
    if labels is None or len(labels) == 0:
        return None
    flat = labels.reshape(len(labels), -1)
    scores = outputs.reshape(len(outputs), -1)
    if labels.dtype.kind in "iub" and flat.shape[1] == 1:
        classes = flat[:, 0].astype(np.int64)
        if scores.shape[1] == 1 and set(np.unique(classes)) == {0, 1}:
            return Score("auc", auc(scores[:, 0], classes), len(classes), None, {})
        if scores.shape[1] > 1:
            known = classes.min() >= 0 and classes.max() < scores.shape[1]
            return _classified(scores, classes, top_k) if known else None
    metric = main_metric(outputs, labels)
    if metric is None:
        return None
    span = float(np.ptp(labels))
    psnr = 10 * math.log10(span**2 / metric.value) if metric.value > 0 and span > 0 else None
    return Score(metric.name, metric.value, metric.n, None, {"psnr_db": psnr})


def _classified(scores: Array, classes: Array, top_k: int) -> Score:
    n, count = scores.shape
    # a tie goes to the lower index, as numpy.argmax does it and the device too
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")
    hit = order[:, 0] == classes
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (classes, order[:, 0]), 1)
    per_class = [
        None if row.sum() == 0 else float(row[index] / row.sum())
        for index, row in enumerate(confusion)
    ]
    details: dict[str, Any] = {"recall": per_class, "confusion": confusion.tolist()}
    if count > top_k:
        inside = (order[:, :top_k] == classes[:, None]).any(axis=1)
        details[f"top{top_k}"] = float(inside.mean())
    if count == 2 and 0 < classes.sum() < n:
        details["auc"] = auc(scores[:, 1].astype(np.float64) - scores[:, 0], classes)
    hits = int(hit.sum())
    return Score("top1", hits / n, n, wilson(hits, n), details)


def auc(scores: Array, classes: Array) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties half."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    _, first, counts = np.unique(ranked, return_index=True, return_counts=True)
    ranks = np.repeat(first + (counts + 1) / 2, counts)
    positives = classes[order] == 1
    p, n = int(positives.sum()), int((~positives).sum())
    return float((ranks[positives].sum() - p * (p + 1) / 2) / (p * n))


def agreement(exact: Array, got: Array, labels: Array | None) -> Agreement:
    """Compare the outputs of two models."""
    a, b = exact.reshape(len(exact), -1).astype(np.float64), got.reshape(len(got), -1)
    error = b - a
    power = float((error**2).sum())
    signal = float((a**2).sum())
    sqnr = None if power == 0 else 10 * math.log10(max(signal, 1e-300) / power)
    norm = math.sqrt(signal * float((b.astype(np.float64) ** 2).sum()))
    cosine = float((a * b).sum() / norm) if norm > 0 else 1.0
    same = better = worse = None
    if a.shape[1] > 1:
        ours, theirs = b.argmax(axis=1), a.argmax(axis=1)
        same = float((ours == theirs).mean())
        if labels is not None and labels.dtype.kind in "iub" and labels.size == len(a):
            classes = labels.reshape(-1)
            better = int(((ours == classes) & (theirs != classes)).sum())
            worse = int(((ours != classes) & (theirs == classes)).sum())
    return Agreement(sqnr, float(np.abs(error).max()), cosine, same, better, worse)
