"""Which units go: as many as a demand asks for, shared out among the groups by a scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from edgepack.compress.channels import Channels, Group
from edgepack.compress.context import Context
from edgepack.compress.importance import Criterion, unit_scores
from edgepack.compress.sensitivity import Losses, measure_losses
from edgepack.errors import ConfigError

StructuredScope = Literal["layer", "global", "sensitivity", "benefit"]
# units that go -> what is left, as a share of what may be left: at most 1 is what is asked for
Demand = Callable[[frozenset[int]], float]
_HALVINGS = 30  # of the interval in which the share is searched that meets the demand


class Options(Protocol):
    """The keys of a step that choosing depends on (`prune_structured.Config`)."""

    @property
    def criterion(self) -> Criterion:
        """Which units go first."""

    @property
    def scope(self) -> StructuredScope:
        """How groups share what goes."""

    @property
    def layer_limit(self) -> float:
        """The most that a group loses."""

    @property
    def multiple(self) -> int:
        """What is left of a group is a multiple of this."""

    @property
    def samples(self) -> int:
        """For criteria and losses."""

    @property
    def seed(self) -> int:
        """Which samples."""


class Selector:
    """Scores and losses of one network, measured once for as many demands as are asked.

    Args:
        model: it is left as it was.
        found: its channels.
        chosen: the groups that may lose some.
        options: how.
        context: the data and the progress.

    Raises:
        ConfigError, DataError: a criterion or a scope lacks what it needs.
    """

    def __init__(
        self, model: Any, found: Channels, chosen: Sequence[Group], options: Options,
        context: Context,
    ) -> None:  # fmt: skip
        self._groups, self._options = chosen, options
        self._scores = unit_scores(
            model, found, options.criterion, context.data, options.samples, options.seed
        )
        # units without a score (bn_scale: no normalization behind them) are kept
        self._ranked = [
            sorted((u for u in group.units if u in self._scores), key=lambda u: self._scores[u])
            for group in chosen
        ]
        self._losses: Losses | None = None
        if options.scope in ("sensitivity", "benefit"):
            self._losses = measure_losses(
                model, found, self._ranked, context, options.samples, options.seed
            )

    def select(self, demand: Demand) -> frozenset[int]:
        """The units that go so that the demand is just met.

        Raises:
            ConfigError: it cannot be met.
        """
        if demand(self._lost(self._everything())) > 1.0:
            least = demand(self._lost(self._everything()))
            raise ConfigError(
                f"what is asked for cannot go: {least:.3f} times what is allowed stays, with "
                f"layer_limit = {self._options.layer_limit}, multiple = {self._options.multiple} "
                "and these layers",
                allowed="a smaller ratio, a larger budget, or another layer_limit",
            )
        if self._options.scope == "benefit":
            return self._by_benefit(demand)
        counts = self._counts()
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if demand(self._lost(counts(middle))) > 1.0:
                low = middle
            else:
                high = middle
        if self._options.multiple == 1:
            return self._lost(counts(high))
        return self._given_back(counts(high), demand)

    def _given_back(self, counts: list[int], demand: Demand) -> frozenset[int]:
        """Let groups have units back while the demand is met.

        With a multiple all groups come down a whole step at the same share, which may be far below
        what is asked for. Each time the group whose units matter most gets one step back.
        """
        counts = [
            min(self._allowed(len(group.units), count), len(order))
            for group, order, count in zip(self._groups, self._ranked, counts, strict=True)
        ]
        open_groups = {index for index, count in enumerate(counts) if count}
        while open_groups:
            index = max(open_groups, key=lambda i: self._scores[self._ranked[i][counts[i] - 1]])
            fewer = max(0, counts[index] - self._options.multiple)
            trial = [*counts[:index], fewer, *counts[index + 1 :]]
            if demand(self._lost(trial)) <= 1.0:
                counts = trial
            else:
                open_groups.discard(index)
            if not counts[index]:
                open_groups.discard(index)
        return self._lost(counts)

    def _everything(self) -> list[int]:
        return [len(group.units) for group in self._groups]

    def _counts(self) -> Callable[[float], list[int]]:
        """How many of each group go, for a share from 0 to 1."""
        if self._losses is not None:
            return _by_loss(self._groups, self._losses)
        if self._options.scope == "global":
            return _global(self._ranked, self._scores)
        return lambda share: [round(share * len(group.units)) for group in self._groups]

    def _lost(self, counts: Sequence[int]) -> frozenset[int]:
        units: set[int] = set()
        for group, order, count in zip(self._groups, self._ranked, counts, strict=True):
            units.update(order[: self._allowed(len(group.units), count)])
        return frozenset(units)

    def _allowed(self, size: int, count: int) -> int:
        """How many of a group go: at least one stays, and the limit and the multiple hold."""
        # the limit may fall on a whole number, which a product of floats may miss by a little
        count = min(count, int(self._options.layer_limit * size + 1e-9), size - 1)
        stay = -(-(size - count) // self._options.multiple) * self._options.multiple
        return max(0, size - stay)

    def _by_benefit(self, demand: Demand) -> frozenset[int]:
        """Step by step the channels whose loss rises least for what they bring."""
        assert self._losses is not None
        counts = [0] * len(self._groups)
        left = demand(frozenset())
        while left > 1.0:
            best: tuple[float, int, int, float] | None = None
            for index, group in enumerate(self._groups):
                size = len(group.units)
                more = self._next(size, counts[index])
                if more is None:
                    continue
                after = demand(self._lost([*counts[:index], more, *counts[index + 1 :]]))
                if after >= left:
                    continue
                rise = self._losses.rise(index, more / size)
                price = (rise - self._losses.rise(index, counts[index] / size)) / (left - after)
                if best is None or price < best[0]:
                    best = (price, index, more, after)
            if best is None:
                # single steps bring nothing any more (a compiler's granularity): evenly on
                counts = [
                    self._next(len(g.units), c) or c
                    for g, c in zip(self._groups, counts, strict=True)
                ]
                left = demand(self._lost(counts))
                continue
            _, index, more, left = best
            counts[index] = more
        return self._lost(counts)

    def _next(self, size: int, count: int) -> int | None:
        """The next larger number of units that may go."""
        for more in range(count + 1, size):
            if self._allowed(size, more) > count:
                return self._allowed(size, more)
        return None


def _global(
    ranked: Sequence[Sequence[int]], scores: Mapping[int, float]
) -> Callable[[float], list[int]]:
    """All units together by score: a share of them tells how many of each group go."""
    everything = np.sort([scores[unit] for order in ranked for unit in order])

    def counts(share: float) -> list[int]:
        border = round(share * len(everything))
        limit = everything[border - 1] if border else -1.0
        return [sum(scores[unit] <= limit for unit in order) for order in ranked]

    return counts


def _by_loss(chosen: Sequence[Group], losses: Losses) -> Callable[[float], list[int]]:
    """As much of each group as keeps the loss under a bound; the share moves that bound."""
    top = max(max(row) for row in losses.rises)

    def counts(share: float) -> list[int]:
        if share >= 1.0:
            return [len(group.units) for group in chosen]
        # a power: small rises are what matters, and they are far below the largest
        bound = top * share**4
        return [losses.count(index, bound, len(group.units)) for index, group in enumerate(chosen)]

    return counts
