"""Structured pruning: whole filters and neurons go, and the network becomes a smaller one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from edgepack.compress.budget import Budget, account, fit, goal_of, measure
from edgepack.compress.channels import Channels, Group, groups, trace
from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.cost import cost
from edgepack.compress.device import Measured
from edgepack.compress.finetune import recover
from edgepack.compress.importance import Criterion
from edgepack.compress.options import FineTune
from edgepack.compress.selection import Selector, StructuredScope
from edgepack.compress.separate import separate
from edgepack.compress.shrink import shrink
from edgepack.errors import ConfigError

NAME = "prune_structured"
DEVICE_SAVING = (
    "flash, RAM and instructions: the network has smaller layers, which every runtime computes "
    "as it would any other network of that size."
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "prune_structured"`.

    `ratio` is the share that goes `of` what: `channels`, `macs` or `parameters` of the network. Or
    `budget` says what the network may take on `target`, an emulated board, at most: `instructions`,
    `flash`, `ram`, below 1 as shares of what it takes as int8 before the step, else as that many.
    `scope`: `layer` takes the same share of every group of channels that hang together, `global`
    ranks all together, `sensitivity` takes of every group as much as raises the loss equally,
    `benefit` in small steps what raises the loss least for what it brings.
    No group loses more than `layer_limit`; what stays is rounded up to a multiple of `multiple`.
    `rounds` prunes and trains in turns, each with the whole of `finetune`. `skip` names layers.
    """

    ratio: float | None = Field(default=None, gt=0.0, lt=1.0)
    budget: Budget = Field(default_factory=dict)
    target: str | None = None
    method: Literal["prune_structured"] = "prune_structured"
    criterion: Criterion = "l1"
    of: Literal["channels", "macs", "parameters"] = "channels"
    scope: StructuredScope = "layer"
    layer_limit: float = Field(default=0.9, gt=0.0, lt=1.0)
    multiple: int = Field(default=1, ge=1)
    rounds: int = Field(default=1, ge=1, le=100)
    samples: int = Field(default=1000, ge=1)
    skip: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()

    @model_validator(mode="after")
    def _one_demand(self) -> Config:
        if (self.ratio is None) == (not self.budget):
            raise ValueError("give one of ratio and budget")
        if (self.target is None) != (not self.budget):
            raise ValueError("budget and target go together")
        if any(value <= 0 for value in self.budget.values()):
            raise ValueError("a budget must be above 0")
        return self


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Prune and fine-tune; the result is a new Keras model.

    Raises:
        ConfigError: nothing may go, or the demand cannot be met.
        DataError: training or a criterion needs data that there are not.
    """
    model = separate(model)
    first = {group.name: len(group.units) for group in _groups(trace(model), config)}
    demands = _Demands(model, config, context)
    for index in range(config.rounds):
        found = trace(model)
        gone = demands.meet(model, found, (index + 1) / config.rounds)
        model = shrink(model, found, gone)
        label = f"round {index + 1}/{config.rounds}: " if config.rounds > 1 else ""
        recover(model, config.finetune, context, NAME, config.seed + index, label)
    left = {group.name: len(group.units) for group in _groups(trace(model), config)}
    changes = tuple(
        LayerChange(name, (left[name],), left[name], 0, f"{left[name]} of {count} channels")
        for name, count in first.items()
    )
    return Outcome(model, changes, demands.saving(model))


class _Demands:
    """What a step asks for: a ratio of something counted, or a budget on the target."""

    def __init__(self, model: Any, config: Config, context: Context) -> None:
        self.config, self.context = config, context
        self.before: Measured | None = None
        if config.target is not None:
            self.before = measure(model, config.target, context)
        self.amount = _amount(trace(model), config, frozenset())

    def meet(self, model: Any, found: Channels, share: float) -> frozenset[int]:
        """The units that go for a share of the way, equal shares of what is left each time."""
        config, context = self.config, self.context
        selector = Selector(model, found, _groups(found, config), config, context)
        if config.ratio is not None:
            most = self.amount * (1.0 - config.ratio) ** share
            return selector.select(lambda gone: _amount(found, config, gone) / most)
        assert self.before is not None and config.target is not None
        goal = goal_of(config.budget, config.target, self.before, share)
        now = self.before if share * config.rounds <= 1 else measure(model, goal.target, context)
        return fit(model, found, selector, goal, now, context)

    def saving(self, model: Any) -> str:
        """What the device sees, measured after training where there is a budget."""
        if self.before is None or self.config.target is None:
            return DEVICE_SAVING
        goal = goal_of(self.config.budget, self.config.target, self.before, 1.0)
        after = measure(model, goal.target, self.context)
        return f"{DEVICE_SAVING} {account(goal, self.before, after).capitalize()}"


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
