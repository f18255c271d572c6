"""Which samples the activation ranges are measured on."""

from __future__ import annotations

import numpy as np

from edgepack.models.dataset import Dataset, Samples


def calibration_samples(data: Dataset, count: int, seed: int) -> Samples:
    """Draw samples of the training split, never of the test split, without repetition.

    Args:
        data: the data set.
        count: how many to draw; all of them, in their own order, where there are fewer.
        seed: of the draw.
    """
    if count >= len(data.train):
        return data.train
    chosen = np.random.default_rng(seed).choice(len(data.train), size=count, replace=False)
    return data.train.take(np.sort(chosen))
