"""Pruning to a budget on the target: a model of the device, put right by building for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgepack.compress.channels import Channels
from edgepack.compress.context import Context
from edgepack.compress.device import DeviceModel, Figure, Measured
from edgepack.compress.selection import Selector
from edgepack.compress.shrink import shrink
from edgepack.errors import ConfigError, UnsupportedError

Budget = dict[Figure, float]
_TRIES = 8
# A network that uses this share of its budget is close enough to stop building; a channel more or
# less is often as much.
_CLOSE = 0.98


@dataclass(frozen=True)
class Goal:
    """Figures that the network may have at most, in instructions and bytes."""

    target: str
    most: Mapping[Figure, float]

    def used(self, figures: Mapping[Figure, float]) -> float:
        """The largest share of a budget that figures use."""
        return max(figures[figure] / most for figure, most in self.most.items())


def goal_of(budget: Budget, target: str, start: Measured, share: float) -> Goal:
    """What a budget comes to for a network.

    Args:
        budget: below 1 a share of what the network took at the start, else that many.
        target: the board.
        start: what it took.
        share: of the way to the budget that this round goes, geometrically; 1 all of it.
    """
    most: dict[Figure, float] = {}
    for figure, value in budget.items():
        before = start.of(figure)
        final = value * before if value < 1.0 else value
        most[figure] = max(final, before * (final / before) ** share)
    return Goal(target, most)


def measure(model: Any, target: str, context: Context) -> Measured:
    """The figures of a model.

    Raises:
        UnsupportedError: nothing here can build for a target.
    """
    if context.meter is None:
        raise UnsupportedError(
            "a budget needs a meter, and this call of compress.apply gave none",
            next_step="edgepack compress, which has one",
        )
    return context.meter(model, target)


def fit(
    model: Any, found: Channels, selector: Selector, goal: Goal, before: Measured, context: Context
) -> frozenset[int]:
    """The units to remove so that the network, built for the target, keeps to its budget.

    Each candidate is built and run untrained (which hardly changes what it takes), and the model of
    the device put right by it, until one uses nearly all of the budget.

    Args:
        model: a Keras model.
        found: its channels.
        selector: which units go first.
        goal: the budget.
        before: the model's own figures.
        context: has the meter.

    Raises:
        ConfigError: nothing that may go is enough.
    """
    device = DeviceModel(model, found, before)
    tried: dict[frozenset[int], float] = {}
    for _ in range(_TRIES):
        gone = selector.select(lambda lost: goal.used(device.figures(lost)))
        if gone in tried:
            break
        real = measure(shrink(model, found, gone), goal.target, context)
        tried[gone] = goal.used(real.as_dict())
        context.progress("device", None, f"{100 * tried[gone]:.1f} % of the budget used")
        if _CLOSE <= tried[gone] <= 1.0:
            return gone
        device.corrected(gone, real)
    within = [gone for gone, used in tried.items() if used <= 1.0]
    if not within:
        least = min(tried.values())
        raise ConfigError(
            f"no network was found that keeps to the budget on {goal.target}: the closest uses "
            f"{100 * least:.1f} % of it",
            allowed="a larger budget, or another layer_limit, multiple or skip",
        )
    return max(within, key=lambda gone: tried[gone])


def account(goal: Goal, start: Measured, end: Measured) -> str:
    """One sentence on what the network took and takes."""
    parts = [
        f"{figure} {start.of(figure):,.0f} -> {end.of(figure):,.0f} "
        f"({100 * end.of(figure) / start.of(figure):.1f} % of before"
        + (f", budget {goal.most[figure]:,.0f})" if figure in goal.most else ")")
        for figure in start.as_dict()
    ]
    return f"built as int8 for {goal.target} and run there: " + "; ".join(parts) + "."
