"""One figure for how good a model's outputs are on labelled samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.types import Array


@dataclass(frozen=True)
class Metric:
    """`value` of the metric `name` over `n` samples: `top1` in 0..1, or `mse` in label units."""

    name: str
    value: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """The metric as JSON stores it."""
        return {"metric": self.name, "value": self.value, "n": self.n}

    def __str__(self) -> str:
        if self.name == "top1":
            return f"{100 * self.value:.2f} % top-1 of {self.n}"
        return f"{self.name} {self.value:.6g} over {self.n}"


def evaluate(outputs: Array, labels: Array | None) -> Metric | None:
    """Compare outputs with labels.

    Args:
        outputs: [n, classes] scores for class labels, or an array of the labels' own shape.
        labels: [n] or [n, 1] integers (class indices), or [n, ...] numbers to regress; or None.

    Returns:
        `top1` for class indices, `mse` for numbers, None without labels or when they do not match.
        A tie in the scores goes to the lower index, as numpy.argmax does it.
    """
    if labels is None or len(labels) == 0:
        return None
    flat = labels.reshape(len(labels), -1)
    if labels.dtype.kind in "iub" and flat.shape[1] == 1 and outputs.ndim == 2:
        if outputs.shape[1] < 2:
            return None
        hits = int((outputs.argmax(axis=1) == flat[:, 0]).sum())
        return Metric("top1", hits / len(labels), len(labels))
    if outputs.shape == labels.shape:
        difference = outputs.astype(np.float64) - labels.astype(np.float64)
        return Metric("mse", float(np.mean(difference**2)), len(labels))
    return None
