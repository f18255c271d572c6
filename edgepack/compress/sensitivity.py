"""How the loss rises when one group of channels alone is pruned, more and more of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.compress.channels import Channels
from edgepack.compress.context import Context
from edgepack.compress.losses import loss_of
from edgepack.compress.shrink import mask
from edgepack.errors import DataError
from edgepack.models.keras_run import as_keras

SHARES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
_BATCH = 256


@dataclass(frozen=True)
class Losses:
    """By group: how much the loss rises at each of `SHARES`: above zero, and more with each."""

    rises: tuple[tuple[float, ...], ...]

    def count(self, group: int, bound: float, size: int) -> int:
        """How many of a group's `size` units may go, straight lines between what was measured."""
        shares, rises = (0.0, *SHARES), (0.0, *self.rises[group])
        share = 0.0
        for i in range(len(SHARES)):
            if rises[i + 1] <= bound:
                share = shares[i + 1]
                continue
            span = rises[i + 1] - rises[i]
            share = shares[i] + (shares[i + 1] - shares[i]) * (bound - rises[i]) / span
            break
        return int(share * size)

    def rise(self, group: int, share: float) -> float:
        """How much the loss rises without a share of a group; beyond the last one, straight on."""
        shares, rises = (0.0, *SHARES), (0.0, *self.rises[group])
        if share <= shares[-1]:
            return float(np.interp(share, shares, rises))
        slope = (rises[-1] - rises[-2]) / (shares[-1] - shares[-2])
        return rises[-1] + slope * (share - shares[-1])


def measure_losses(
    model: Any,
    found: Channels,
    ranked: Sequence[Sequence[int]],
    context: Context,
    samples: int,
    seed: int,
) -> Losses:
    """Mask each group alone at each share and measure the loss on training samples.

    Args:
        model: put back as it was afterwards.
        found: its channels.
        ranked: by group, units in the order in which they would go.
        context: the data and the progress.
        samples: how many.
        seed: which ones.

    Raises:
        DataError: there are no labels.
    """
    data = context.data
    if data is None or data.train.labels is None:
        raise DataError("scope = 'sensitivity' needs labels", allowed="x_train and y_train")
    order = np.random.default_rng(seed).permutation(len(data.train))
    chosen = data.train.take(order[:samples])
    assert chosen.labels is not None
    labels, loss_function = chosen.labels, loss_of(model, chosen.labels, None)

    def loss() -> float:
        total = 0.0
        for start in range(0, len(chosen), _BATCH):
            batch = tuple(array[start : start + _BATCH] for array in chosen.inputs)
            part = labels[start : start + _BATCH]
            value = loss_function(part, model(as_keras(batch), training=False))
            total += float(np.mean(np.asarray(value))) * len(part)
        return total / len(chosen)

    before, weights = loss(), model.get_weights()
    rises = []
    for index, units in enumerate(ranked):
        row, highest = [], 0.0
        for share in SHARES:
            mask(found, units[: round(share * len(units))])
            highest = max(highest, loss() - before)
            row.append(highest)
            model.set_weights(weights)
        rises.append(tuple(row))
        context.progress("sensitivity", (index + 1) / len(ranked), f"group {index + 1}")
    return Losses(_rising(rises))


def _rising(rises: Sequence[tuple[float, ...]]) -> tuple[tuple[float, ...], ...]:
    """Add a slope that is small beside the largest rise, so that groups of no effect go evenly."""
    slope = 1e-3 * (max(max(row) for row in rises) or 1.0)
    return tuple(
        tuple(rise + slope * share for rise, share in zip(row, SHARES, strict=True))
        for row in rises
    )
