"""Accuracy of a classifier's outputs against labels."""

from __future__ import annotations

import numpy as np

from edgepack.errors import DataError
from edgepack.types import Array

METRIC = "top-1"


def top1(scores: Array, labels: Array) -> float:
    """The share of samples, 0 to 1, whose highest score is at the label's index.

    Args:
        scores: [samples, ...] as the model returned them; everything after the first axis is one
            vector of class scores. Of equal scores the first counts, as numpy's argmax has it.
        labels: class numbers [samples].

    Raises:
        DataError: the output is no vector of at least two scores, or a label is out of its range.
    """
    flat = scores.reshape(len(scores), -1)
    classes = flat.shape[1]
    if classes < 2:
        raise DataError(
            f"labels were given, but the model's first output has {classes} element",
            allowed="one score per class",
            next_step="leave y out of the data file",
        )
    if len(labels) and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            f"labels go from {labels.min()} to {labels.max()}",
            allowed=f"0 to {classes - 1}, the model's first output has {classes} scores",
        )
    return float(np.mean(flat.argmax(axis=1) == labels))
