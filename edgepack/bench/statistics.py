"""Summaries of repeated measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """`n` values: smallest, median, 95th percentile and largest, in the unit of the values.

    The median of an even count is the mean of the middle two; the percentile is interpolated
    linearly between the closest ranks (Hyndman and Fan, "Sample Quantiles in Statistical Packages",
    1996, definition 7).
    """

    n: int
    min: float
    median: float
    p95: float
    max: float


def summarize(values: Sequence[float]) -> Summary | None:
    """The summary of some measurements, None when there are none."""
    if not len(values):
        return None
    array = np.asarray(values, np.float64)
    return Summary(
        n=len(array),
        min=float(array.min()),
        median=float(np.median(array)),
        p95=float(np.percentile(array, 95, method="linear")),
        max=float(array.max()),
    )
