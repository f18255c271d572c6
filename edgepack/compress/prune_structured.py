"""Structured pruning: whole filters and neurons go, and the network becomes a smaller one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.compress.channels import Channels, Group, groups, trace
from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.cost import cost
from edgepack.compress.finetune import FineTune, recover
from edgepack.compress.importance import Criterion, unit_scores
from edgepack.compress.sensitivity import Losses, measure_losses
from edgepack.compress.shrink import shrink
from edgepack.errors import ConfigError

NAME = "prune_structured"
DEVICE_SAVING = (
    "flash, RAM and instructions: the network has smaller layers, which every runtime computes "
    "as it would any other network of that size."
)
_HALVINGS = 30  # of the interval in which the ratio is searched that meets the demand


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "prune_structured"`.

    `ratio` is the share that goes `of` what: `channels`, `macs` or `parameters` of the network.
    `scope`: `layer` takes the same share of every group of channels that hang together, `global`
    ranks all together, `sensitivity` takes of every group as much as raises the loss equally.
    No group loses more than `layer_limit`; what stays is rounded up to a multiple of `multiple`.
    `rounds` prunes and trains in turns, each with the whole of `finetune`. `skip` names layers.
    """

    ratio: float = Field(gt=0.0, lt=1.0)
    method: Literal["prune_structured"] = "prune_structured"
    criterion: Criterion = "l1"
    of: Literal["channels", "macs", "parameters"] = "channels"
    scope: Literal["layer", "global", "sensitivity"] = "layer"
    layer_limit: float = Field(default=0.9, gt=0.0, lt=1.0)
    multiple: int = Field(default=1, ge=1)
    rounds: int = Field(default=1, ge=1, le=100)
    samples: int = Field(default=1000, ge=1)
    skip: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Prune and fine-tune; the result is a new Keras model.

    Raises:
        ConfigError: nothing may go, or the demand cannot be met.
        DataError: training or a criterion needs data that there are not.
    """
    first = {group.name: len(group.units) for group in _groups(trace(model), config)}
    start = _amount(trace(model), config, frozenset())
    for index in range(config.rounds):
        # equal shares of what is left: after all rounds the whole ratio is gone
        target = start * (1.0 - config.ratio) ** ((index + 1) / config.rounds)
        found = trace(model)
        gone = _choose(model, found, config, context, target)
        model = shrink(model, found, gone)
        label = f"round {index + 1}/{config.rounds}: " if config.rounds > 1 else ""
        recover(model, config.finetune, context, NAME, config.seed + index, label)
    left = {group.name: len(group.units) for group in _groups(trace(model), config)}
    changes = tuple(
        LayerChange(name, (left[name],), left[name], 0, f"{left[name]} of {count} channels")
        for name, count in first.items()
    )
    return Outcome(model, changes, DEVICE_SAVING)


def _groups(found: Channels, config: Config) -> list[Group]:
    """The groups that may lose channels.

    Raises:
        ConfigError: there are none, or `skip` names a layer that makes none.
    """
    every = groups(found)
    names = {maker for group in every for maker in group.makers}
    unknown = [name for name in config.skip if name not in names]
    if unknown:
        raise ConfigError(
            f"{NAME}: skip = {unknown[0]!r} is no layer whose channels could go",
            allowed=", ".join(sorted(names)),
        )
    chosen = [group for group in every if not set(config.skip) & set(group.makers)]
    if not chosen:
        raise ConfigError(
            f"{NAME} finds no channels that could go",
            allowed="a network with a hidden Dense or convolution layer",
        )
    return chosen


def _amount(found: Channels, config: Config, gone: frozenset[int]) -> float:
    """How much there is of what `ratio` is a share of."""
    if config.of == "channels":
        return float(sum(len(set(g.units) - gone) for g in _groups(found, config)))
    return float(cost(found, gone).of(config.of))


def _choose(
    model: Any, found: Channels, config: Config, context: Context, target: float
) -> frozenset[int]:
    """The units that go so that at most `target` is left."""
    chosen = _groups(found, config)
    scores = unit_scores(model, found, config.criterion, context.data, config.samples, config.seed)
    # units without a score (bn_scale: no normalization behind them) are kept
    ranked = [
        sorted((u for u in group.units if u in scores), key=lambda u: scores[u]) for group in chosen
    ]
    by_scope: dict[str, Callable[[float], list[int]]] = {
        "layer": lambda share: [round(share * len(g.units)) for g in chosen],
        "global": _global(ranked, scores),
    }
    if config.scope == "sensitivity":
        losses = measure_losses(model, found, ranked, context, config.samples, config.seed)
        by_scope["sensitivity"] = _by_loss(chosen, losses)

    def lost(share: float) -> frozenset[int]:
        counts = by_scope[config.scope](share)
        units: set[int] = set()
        for group, order, count in zip(chosen, ranked, counts, strict=True):
            units.update(order[: _allowed(len(group.units), count, config)])
        return frozenset(units)

    low, high = 0.0, 1.0
    if _amount(found, config, lost(1.0)) > target:
        least = 1.0 - _amount(found, config, lost(1.0)) / _amount(found, config, frozenset())
        raise ConfigError(
            f"{NAME}: ratio = {config.ratio} of {config.of} cannot go",
            allowed=f"at most {least:.3f} of what this round starts with, with layer_limit = "
            f"{config.layer_limit}, multiple = {config.multiple} and these layers",
        )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _amount(found, config, lost(middle)) > target:
            low = middle
        else:
            high = middle
    return lost(high)


def _allowed(size: int, count: int, config: Config) -> int:
    """How many of a group go: at least one channel stays, and the limit and the multiple hold."""
    # the limit may fall on a whole number, which a product of floats may miss by a little
    count = min(count, int(config.layer_limit * size + 1e-9), size - 1)
    stay = -(-(size - count) // config.multiple) * config.multiple
    return max(0, size - stay)


def _global(ranked: Sequence[Sequence[int]], scores: Mapping[int, float]) -> Any:
    """All units together by score: a share of them tells how many of each group go."""
    everything = np.sort([scores[unit] for order in ranked for unit in order])

    def counts(share: float) -> list[int]:
        border = round(share * len(everything))
        limit = everything[border - 1] if border else -1.0
        return [sum(scores[unit] <= limit for unit in order) for order in ranked]

    return counts


def _by_loss(chosen: Sequence[Group], losses: Losses) -> Any:
    """As much of each group as keeps the loss under a bound; the share moves that bound."""
    top = max(max(row) for row in losses.rises)

    def counts(share: float) -> list[int]:
        if share >= 1.0:
            return [len(group.units) for group in chosen]
        # a power: small rises are what matters, and they are far below the largest
        bound = top * share**4
        return [losses.count(index, bound, len(group.units)) for index, group in enumerate(chosen)]

    return counts
