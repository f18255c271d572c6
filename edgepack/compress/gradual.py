"""Pruning while training: what all methods share that make single weights zero.

A method says which weights go (`Choose`); here the schedule says when and how many, the masks hold
while the rest is trained, and what went is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context, LayerChange
from edgepack.compress.finetune import recover
from edgepack.compress.masks import Scope
from edgepack.compress.options import FineTune, steps_per_epoch
from edgepack.compress.schedule import Schedule, ScheduleKind
from edgepack.errors import DataError
from edgepack.types import Array

# (weights, masks so far, sparsity) -> (masks, weights): bool masks that only shrink, and what the
# weights become, which need not be zero yet where a mask is False.
Choose = Callable[
    [Sequence[Array], Sequence[Array], float], tuple[Sequence[Array], Sequence[Array]]
]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Gradual:
    """The keys of every step that prunes while it trains.

    The masks change from `begin` to `end`, fractions of the fine-tuning (the rest of it recovers
    accuracy), every `every` optimizer steps. A `constant` schedule prunes once, at `begin`; with
    `finetune.epochs = 0` it prunes without training. `skip` holds shell patterns of weight paths
    (`layer/kernel`) left alone, such as `*depthwise*`.
    """

    schedule: ScheduleKind = "polynomial"
    begin: float = Field(default=0.0, ge=0.0, lt=1.0)
    end: float = Field(default=0.6, gt=0.0, le=1.0)
    every: int = Field(default=10, ge=1)
    skip: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()

    @model_validator(mode="after")
    def _on_time(self) -> Gradual:
        if self.finetune.epochs == 0 and self.schedule != "constant":
            raise ValueError(
                "finetune.epochs must be 1 or more: pruning goes on while training "
                "(schedule = 'constant' prunes without)"
            )
        if self.end <= self.begin:
            raise ValueError(f"end = {self.end} must be larger than begin = {self.begin}")
        return self


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Sparse(Gradual):
    """The keys of a step that prunes to a share of the weights.

    `sparsity` is the fraction of prunable weights that end as zero, `initial_sparsity` the one
    that a polynomial schedule starts with. `scope`: `layer` prunes each weight array to the same
    sparsity, `global` prunes them together, none beyond `layer_limit`.
    """

    sparsity: float = Field(default=..., gt=0.0, lt=1.0)
    initial_sparsity: float = Field(default=0.0, ge=0.0, lt=1.0)
    scope: Scope = "layer"
    layer_limit: float = Field(default=0.98, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _consistent(self) -> Sparse:
        if self.initial_sparsity > self.sparsity:
            raise ValueError("initial_sparsity must not be larger than sparsity")
        if self.scope == "global" and self.sparsity > self.layer_limit:
            raise ValueError("sparsity must not be larger than layer_limit with a global scope")
        return self


def prune_gradually(
    model: Any,
    variables: Sequence[Any],
    config: Gradual,
    context: Context,
    name: str,
    initial: float,
    final: float,
    choose: Choose,
) -> tuple[LayerChange, ...]:
    """Prune and fine-tune a Keras model in place.

    Args:
        model: a Keras model.
        variables: its weight arrays to prune.
        config: when, and how to train.
        context: the data and the progress.
        name: of the method, for errors and progress.
        initial: the sparsity that a polynomial schedule starts with.
        final: the one that it ends with.
        choose: which weights go.

    Returns:
        For every array what is left of it.

    Raises:
        DataError: it trains, and there are no data, or none with labels that fit.
    """
    total = 0
    if config.finetune.epochs:
        if context.data is None:
            raise DataError(
                f"{name} fine-tunes and has no data",
                next_step='name them in edgepack.toml: [data] source = "train:load_data"',
            )
        total = steps_per_epoch(config.finetune, context.data.train) * config.finetune.epochs
    begin = round(config.begin * total)
    end = max(round(config.end * total), begin + 1)
    schedule = Schedule(config.schedule, initial, final, begin, end, config.every)
    pruner = _Pruner(variables, schedule, choose)
    pruner.attach()
    try:
        recover(model, config.finetune, context, name, config.seed, callbacks=[pruner])
    finally:
        pruner.detach()
    return pruner.changes()


class _Pruner:
    """The masks of a run: enforced after every optimizer step, widened when the schedule says so.

    A mask is applied as a Keras weight constraint, which the optimizer calls inside its compiled
    step, so that a pruned weight is exactly zero at every moment of the training.
    """

    def __init__(self, variables: Sequence[Any], schedule: Schedule, choose: Choose) -> None:
        import keras

        self.variables, self.schedule, self.choose = list(variables), schedule, choose
        self.step = 0
        self.kept: list[Array] = [np.ones(tuple(v.shape), dtype=np.bool_) for v in variables]
        self._masks = [
            keras.Variable(np.ones(tuple(v.shape), dtype=np.float32), trainable=False)
            for v in variables
        ]
        self._original = [variable.constraint for variable in variables]

    def attach(self) -> None:
        """Put the masks into the optimizer's step, behind the layer's own constraint."""
        for variable, mask, own in zip(self.variables, self._masks, self._original, strict=True):
            variable.constraint = _masked(mask, own)
        self.update()

    def detach(self) -> None:
        """Give the layers their own constraints back."""
        for variable, own in zip(self.variables, self._original, strict=True):
            variable.constraint = own

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count an optimizer step."""
        self.step += 1
        self.update()

    def state(self) -> dict[str, Array]:
        """For `compress.saves`: the steps counted, and the masks."""
        masks = {f"kept-{number}": kept for number, kept in enumerate(self.kept)}
        return {"step": np.asarray(self.step), **masks}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on where `state` was taken; the weights are put back by the training itself."""
        self.step = int(state["step"])
        self.kept = [state[f"kept-{number}"] for number in range(len(self.kept))]
        for mask, kept in zip(self._masks, self.kept, strict=True):
            mask.assign(kept.astype(np.float32))

    def update(self) -> None:
        """Widen the masks where the schedule says so, and zero what they drop."""
        if not self.schedule.is_due(self.step):
            return
        weights = [np.asarray(variable) for variable in self.variables]
        kept, moved = self.choose(weights, self.kept, self.schedule.sparsity(self.step))
        self.kept = list(kept)
        for variable, mask, weight, stays in zip(
            self.variables, self._masks, moved, self.kept, strict=True
        ):
            mask.assign(stays.astype(np.float32))
            variable.assign((weight * stays).astype(np.float32))

    def changes(self) -> tuple[LayerChange, ...]:
        """What the weights hold now, counted in them and not in the masks."""
        return tuple(
            LayerChange(
                variable.path,
                tuple(int(size) for size in variable.shape),
                int(np.asarray(variable).size),
                int((np.asarray(variable) == 0.0).sum()),
            )
            for variable in self.variables
        )


def _masked(mask: Any, own: Any) -> Any:
    def constraint(weight: Any) -> Any:
        return (weight if own is None else own(weight)) * mask

    return constraint
