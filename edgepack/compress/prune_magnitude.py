"""Unstructured pruning by magnitude: the smallest weights become zero while the rest is trained.

The gradual schedule is Zhu and Gupta's (2017, "To prune, or not to prune: exploring the efficacy of
pruning for model compression", arXiv:1710.01878); masks only ever grow.
"""

from __future__ import annotations

import fnmatch
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.finetune import FineTune, epoch_progress, finetune, steps_per_epoch
from edgepack.compress.masks import Scope, magnitude_masks
from edgepack.compress.schedule import Schedule, ScheduleKind
from edgepack.errors import ConfigError, DataError
from edgepack.types import Array

NAME = "prune_magnitude"
# Keras 3's names of the weights that are multiplied with activations; never biases or norms.
PRUNABLE = ("kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel", "embeddings")
DEVICE_SAVING = (
    "none by itself: a zero weight is stored and multiplied like any other by TFLite Micro and by "
    "the dense kernels of the C runtime. Flash, RAM and instructions stay the same. What it buys "
    "is a network that sparse-coded weights can store in less flash."
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "prune_magnitude"`.

    `sparsity` is the fraction of prunable weights that end as zero. The masks change from
    `begin` to `end`, fractions of the fine-tuning (the rest of it recovers accuracy), every
    `every` optimizer steps. `scope`: `layer` prunes each weight array to the same sparsity,
    `global` prunes them together, none beyond `layer_limit`. `skip` holds shell patterns of
    weight paths (`layer/kernel`) left alone, such as `*depthwise*`.
    """

    sparsity: float = Field(gt=0.0, lt=1.0)
    method: Literal["prune_magnitude"] = "prune_magnitude"
    schedule: ScheduleKind = "polynomial"
    initial_sparsity: float = Field(default=0.0, ge=0.0, lt=1.0)
    begin: float = Field(default=0.0, ge=0.0, lt=1.0)
    end: float = Field(default=0.6, gt=0.0, le=1.0)
    every: int = Field(default=10, ge=1)
    scope: Scope = "layer"
    layer_limit: float = Field(default=0.98, gt=0.0, le=1.0)
    skip: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.finetune.epochs == 0:
            raise ValueError("finetune.epochs must be 1 or more: pruning goes on while training")
        if self.end <= self.begin:
            raise ValueError(f"end = {self.end} must be larger than begin = {self.begin}")
        if self.initial_sparsity > self.sparsity:
            raise ValueError("initial_sparsity must not be larger than sparsity")
        if self.scope == "global" and self.sparsity > self.layer_limit:
            raise ValueError("sparsity must not be larger than layer_limit with a global scope")
        return self


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Prune and fine-tune a Keras model in place.

    Raises:
        ConfigError: no weight is left to prune.
        DataError: there are no data, or none with labels that fit.
    """
    if context.data is None:
        raise DataError(
            f"{NAME} fine-tunes and has no data",
            next_step='name them in edgepack.toml: [data] source = "train:load_data"',
        )
    variables = _prunable(model, config)
    total = steps_per_epoch(config.finetune, context.data.train) * config.finetune.epochs
    schedule = Schedule(
        config.schedule,
        config.initial_sparsity,
        config.sparsity,
        begin=round(config.begin * total),
        end=max(round(config.end * total), round(config.begin * total) + 1),
        every=config.every,
    )
    pruner = _Pruner(variables, schedule, config)
    callbacks = [_callback(pruner), epoch_progress(NAME, context.progress, total)]
    pruner.attach()
    try:
        finetune(model, context.data, config.finetune, seed=config.seed, callbacks=callbacks)
    finally:
        pruner.detach()
    return Outcome(model, pruner.changes(), DEVICE_SAVING)


def _prunable(model: Any, config: Config) -> list[Any]:
    """The weight arrays to prune, in the model's own order."""
    candidates = [
        variable
        for variable in model.trainable_weights
        if variable.name in PRUNABLE and len(variable.shape) >= 2
    ]
    skipped: set[str] = set()
    for pattern in config.skip:
        matched = {variable.path for variable in candidates if _matches(variable.path, pattern)}
        if not matched:
            raise ConfigError(
                f"{NAME}: skip = {pattern!r} matches no weights",
                allowed=", ".join(variable.path for variable in candidates),
            )
        skipped |= matched
    chosen = [variable for variable in candidates if variable.path not in skipped]
    if not chosen:
        raise ConfigError(
            f"{NAME} finds no weights to prune",
            allowed="trainable layers with a " + ", ".join(PRUNABLE) + " that `skip` leaves over",
        )
    return chosen


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern fits a weight's path, or its end: Keras may put the model's name first."""
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"*/{pattern}")


class _Pruner:
    """The masks of a run: enforced after every optimizer step, widened when the schedule says so.

    A mask is applied as a Keras weight constraint, which the optimizer calls inside its compiled
    step, so that a pruned weight is exactly zero at every moment of the training.
    """

    def __init__(self, variables: list[Any], schedule: Schedule, config: Config) -> None:
        import keras

        self.variables, self.schedule, self.config = variables, schedule, config
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

    def advance(self) -> None:
        """Count an optimizer step."""
        self.step += 1
        self.update()

    def update(self) -> None:
        """Widen the masks where the schedule says so, and zero what they drop."""
        if not self.schedule.is_due(self.step):
            return
        weights = [np.asarray(variable) for variable in self.variables]
        self.kept = magnitude_masks(
            weights,
            self.kept,
            self.schedule.sparsity(self.step),
            self.config.scope,
            self.config.layer_limit,
        )
        for variable, mask, weight, kept in zip(
            self.variables, self._masks, weights, self.kept, strict=True
        ):
            mask.assign(kept.astype(np.float32))
            variable.assign(weight * kept)

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


def _callback(pruner: _Pruner) -> Any:
    import keras

    class _Steps(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            pruner.advance()

    return _Steps()
