"""Low rank: a layer becomes two or three smaller ones, whose product is near it.

Dense layers and 1x1 convolutions become two layers by SVD, spatial convolutions three by Tucker-2.
A layer stays whole where the factors would have as many weights as it has.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as checked

from edgepack.compress.channels import functional
from edgepack.compress.context import Context, LayerChange, Outcome
from edgepack.compress.factor import Factors, rank_for, spectrum, svd, tucker2
from edgepack.compress.finetune import FineTune, recover
from edgepack.compress.replace import replace_layers
from edgepack.errors import ConfigError
from edgepack.types import Array

NAME = "low_rank"
DEVICE_SAVING = (
    "flash and instructions, about in proportion to parameters and multiply-accumulates; every "
    "layer that was split has intermediate results, which may cost RAM and a kernel call."
)
_HALVINGS = 30


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    """One `[[compress]]` step with `method = "low_rank"`; exactly one of the first three is given.

    `energy` is the share of each kernel's squared singular values to keep, `ratio` the rank as a
    share of the full one, `budget` the share of the weights of all layers together that may be
    left (ranks then keep the same energy everywhere). `kinds` and `skip` (shell patterns of layer
    names) say which layers.
    """

    method: Literal["low_rank"] = "low_rank"
    energy: float | None = Field(default=None, gt=0.0, le=1.0)
    ratio: float | None = Field(default=None, gt=0.0, le=1.0)
    budget: float | None = Field(default=None, gt=0.0, lt=1.0)
    kinds: tuple[Literal["dense", "pointwise", "spatial"], ...] = (
        "dense",
        "pointwise",
        "spatial",
    )
    skip: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    finetune: FineTune = FineTune()

    @model_validator(mode="after")
    def _one_demand(self) -> Config:
        if sum(value is not None for value in (self.energy, self.ratio, self.budget)) != 1:
            raise ValueError("give exactly one of energy, ratio and budget")
        return self


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer that can be split; `spectra` are those of its two ways of unfolding (SVD: of one)."""

    layer: Any
    kind: str
    kernel: Array
    spectra: tuple[Array, ...]

    def ranks(self, energy: float | None, ratio: float | None) -> tuple[int, ...]:
        """The rank along each unfolding."""
        if energy is not None:
            return tuple(rank_for(values, energy) for values in self.spectra)
        assert ratio is not None
        return tuple(max(1, round(ratio * len(values))) for values in self.spectra)

    def weights(self, ranks: tuple[int, ...]) -> int:
        """Weights of the factors, or of the layer where those are no fewer."""
        *window, inputs, outputs = self.kernel.shape
        if len(ranks) == 1:
            count = ranks[0] * (inputs + outputs)
        else:
            count = inputs * ranks[0] + int(np.prod(window)) * ranks[0] * ranks[1]
            count += ranks[1] * outputs
        return min(int(count), int(self.kernel.size))

    def factors(self, ranks: tuple[int, ...]) -> Factors:
        """The kernels in place of this layer's."""
        if len(ranks) == 2:
            return tucker2(self.kernel, *ranks)
        pair = svd(self.kernel.reshape(self.kernel.shape[-2:]), ranks[0])
        window = (1, 1) if self.kind == "pointwise" else ()
        return Factors(tuple(kernel.reshape(*window, *kernel.shape) for kernel in pair.kernels))


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Split layers and fine-tune; the result is a new Keras model.

    Raises:
        ConfigError: no layer gets smaller.
        DataError: there are no data to train on.
    """
    layers = _layers(model, config)
    energy = config.energy if config.budget is None else _energy_for(layers, config.budget)
    chains, changes = {}, []
    for entry in layers:
        ranks = entry.ranks(energy, config.ratio)
        left = entry.weights(ranks)
        note = "stays whole: the factors would be no smaller"
        if left < entry.kernel.size:
            chains[entry.layer.name] = _chain(entry, entry.factors(ranks))
            note = f"rank {' and '.join(map(str, ranks))}, was {entry.kernel.size:,} weights"
        changes.append(LayerChange(entry.layer.name, entry.kernel.shape, left, 0, note))
    if not chains:
        raise ConfigError(
            f"{NAME}: no layer gets smaller",
            allowed="a smaller energy, ratio or budget",
        )
    model = replace_layers(model, chains)
    recover(model, config.finetune, context, NAME, config.seed)
    return Outcome(model, tuple(changes), DEVICE_SAVING)


def _layers(model: Any, config: Config) -> list[_Layer]:
    """What can be split, in the model's order.

    Raises:
        ConfigError: there is nothing.
    """
    found = []
    for layer in functional(model).layers:
        kind = _kind(layer)
        if kind not in config.kinds:
            continue
        if any(fnmatch.fnmatchcase(layer.name, pattern) for pattern in config.skip):
            continue
        kernel = np.asarray(layer.kernel)
        axes = (2, 3) if kind == "spatial" else (kernel.ndim - 2,)
        spectra = tuple(spectrum(kernel, axis) for axis in axes)
        if kind != "spatial":  # of a matrix both unfoldings have the same, as many as the less
            spectra = (spectra[0][: min(kernel.shape[-2:])],)
        found.append(_Layer(layer, kind, kernel, spectra))
    if not found:
        raise ConfigError(
            f"{NAME} finds no layer to split",
            allowed="Dense and Conv2D layers of kinds = " + ", ".join(config.kinds),
        )
    return found


def _kind(layer: Any) -> str | None:
    name = type(layer).__name__
    if name == "Dense":
        return "dense"
    if name != "Conv2D" or layer.groups != 1 or layer.data_format != "channels_last":
        return None
    return "pointwise" if tuple(layer.kernel_size) == (1, 1) else "spatial"


def _energy_for(layers: list[_Layer], budget: float) -> float:
    """The largest energy with which all layers together have no more than a share of the weights.

    Raises:
        ConfigError: rank 1 everywhere is too much.
    """
    full = sum(entry.kernel.size for entry in layers)

    def share(energy: float) -> float:
        return sum(entry.weights(entry.ranks(energy, None)) for entry in layers) / full

    low, high = 0.0, 1.0
    if share(low) > budget:
        raise ConfigError(
            f"{NAME}: budget = {budget} cannot be met", allowed=f"{share(low):.4f} or more"
        )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) <= budget else (low, middle)
    return low


def _chain(entry: _Layer, factors: Factors) -> list[tuple[Any, list[Array]]]:
    """New layers and their weights: bias and activation go with the last, strides as they fit."""
    config, chain = entry.layer.get_config(), []
    last = len(factors.kernels) - 1
    for index, kernel in enumerate(factors.kernels):
        own = {**config, "name": f"{config['name']}_{'abc'[index]}"}
        own["units" if entry.kind == "dense" else "filters"] = kernel.shape[-1]
        if index != last:
            own.update(use_bias=False, activation="linear", bias_regularizer=None)
        if entry.kind == "pointwise" and index == last:  # the first factor has the strides
            own["strides"] = (1, 1)
        if entry.kind == "spatial" and index != 1:
            own.update(kernel_size=(1, 1), strides=(1, 1), dilation_rate=(1, 1), padding="valid")
        weights = [np.asarray(kernel)]
        if index == last and config.get("use_bias", True):
            weights.append(np.asarray(entry.layer.bias))
        chain.append((entry.layer.__class__.from_config(own), weights))
    return chain
