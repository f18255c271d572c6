"""Low rank: a layer becomes two or three smaller ones, whose product is near it.

Dense layers and 1x1 convolutions become two layers by SVD, spatial convolutions three by Tucker-2
or CP. A layer stays whole where the factors would have as many weights as it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.finetune import recover
from edgepack.compress.options import FineTune
from edgepack.compress.rank_search import smallest
from edgepack.compress.replace import replace_layers
from edgepack.compress.split import Kind, Rung, Splittable, splittable
from edgepack.errors import ConfigError

NAME = "low_rank"
DEVICE_SAVING = (
    "flash and instructions, about in proportion to parameters and multiply-accumulates; every "
    "layer that was split has intermediate results, which may cost RAM and a kernel call."
)
_HALVINGS = 30


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "low_rank"`; exactly one of the first four is given.

    `energy` is the share of each kernel's squared singular values to keep (CP: of its squares),
    `ratio` the rank as a share of the full one (CP: the share of the weights), `budget` the share
    of the weights of all layers together that may be left (ranks then keep the same energy
    everywhere). `max_drop` is the share of right answers that may be lost before training, on
    `samples` of the training split; the smallest ranks are searched (`compress.rank_search`).
    `spatial` says how convolutions with a window are split; `kinds` and `skip` (shell patterns of
    layer names) say which layers are.
    """

    method: Literal["low_rank"] = "low_rank"
    energy: float | None = Field(default=None, gt=0.0, le=1.0)
    ratio: float | None = Field(default=None, gt=0.0, le=1.0)
    budget: float | None = Field(default=None, gt=0.0, lt=1.0)
    max_drop: float | None = Field(default=None, gt=0.0, lt=1.0)
    samples: int = Field(default=1000, ge=1)
    spatial: Literal["tucker2", "cp"] = "tucker2"
    kinds: tuple[Kind, ...] = ("dense", "pointwise", "spatial")
    skip: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()

    @model_validator(mode="after")
    def _one_demand(self) -> Config:
        demands = (self.energy, self.ratio, self.budget, self.max_drop)
        if sum(value is not None for value in demands) != 1:
            raise ValueError("give exactly one of energy, ratio, budget and max_drop")
        return self


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Split layers and fine-tune; the result is a new Keras model.

    Raises:
        ConfigError: no layer gets smaller.
        DataError: there are no data to train on, or to search with.
    """
    layers = splittable(model, config.kinds, config.skip, config.spatial, config.seed)
    if not layers:
        raise ConfigError(
            f"{NAME} finds no layer to split",
            allowed="Dense and Conv2D layers of kinds = " + ", ".join(config.kinds),
        )
    chains, changes = {}, []
    for entry, rung in zip(layers, _rungs(model, layers, config, context), strict=True):
        name, shape, size = entry.layer.name, entry.kernel.shape, int(entry.kernel.size)
        if rung is None:
            changes.append(LayerChange(name, shape, size, 0, "stays whole"))
            continue
        chains[name] = entry.chain(rung)
        off = entry.kernel - entry.factors(rung).product().reshape(shape)
        missed = float((off**2).sum() / (entry.kernel**2).sum())
        note = f"rank {' and '.join(map(str, rung.ranks))} ({entry.form}), was {size:,} weights, "
        changes.append(
            LayerChange(name, shape, rung.weights, 0, f"{note}misses {missed:.4f} of their squares")
        )
    if not chains:
        raise ConfigError(
            f"{NAME}: no layer gets smaller",
            allowed="a smaller energy, ratio or budget, or a larger max_drop",
        )
    model = replace_layers(model, chains)
    recover(model, config.finetune, context, NAME, config.seed)
    return Outcome(model, tuple(changes), DEVICE_SAVING)


def _rungs(
    model: Any, layers: Sequence[Splittable], config: Config, context: Context
) -> list[Rung | None]:
    """The ranks that the configuration asks for."""
    if config.max_drop is not None:
        return smallest(model, layers, context, config.max_drop, config.samples, config.seed)
    if config.ratio is not None:
        return [entry.at_ratio(config.ratio) for entry in layers]
    energy = config.energy if config.budget is None else _energy_for(layers, config.budget)
    assert energy is not None
    return [entry.at_energy(energy) for entry in layers]


def _energy_for(layers: Sequence[Splittable], budget: float) -> float:
    """The largest energy with which all layers together have no more than a share of the weights.

    Raises:
        ConfigError: the smallest ranks are too much.
    """
    full = sum(int(entry.kernel.size) for entry in layers)

    def share(energy: float) -> float:
        rungs = [entry.at_energy(energy) for entry in layers]
        pairs = zip(layers, rungs, strict=True)
        return sum(e.kernel.size if r is None else r.weights for e, r in pairs) / full

    low, high = 0.0, 1.0
    if share(low) > budget:
        raise ConfigError(
            f"{NAME}: budget = {budget} cannot be met", allowed=f"{share(low):.4f} or more"
        )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) <= budget else (low, middle)
    return low
