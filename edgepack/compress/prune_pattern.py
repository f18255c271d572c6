"""Pruning to a regular pattern: N of every M weights stay, or whole blocks go.

N:M: Zhou et al. 2021, "Learning N:M fine-grained structured sparse neural networks from scratch",
arXiv:2102.04010. Blocks: Narang, Undersander and Diamos 2017, "Block-sparse recurrent neural
networks", arXiv:1711.02782. Both by magnitude, on Zhu and Gupta's schedule (prune_magnitude.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context, Outcome
from edgepack.compress.gradual import Gradual, prune_gradually
from edgepack.compress.layer_inputs import as_matrix, matrix_layers
from edgepack.compress.masks import Scope
from edgepack.compress.patterns import Ratio, block_masks, parse_pattern, ratio_mask
from edgepack.compress.weights import prunable
from edgepack.errors import ConfigError
from edgepack.types import Array

NAME = "prune_pattern"
DEVICE_SAVING = (
    "none with TFLite Micro. The C runtime stores and multiplies only what is not zero in layers "
    "where that is smaller or faster: most blocks do that, 2:4 saves at most flash "
    "(`edgepack build --explain` names the layers)."
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config(Gradual):
    """One `[[compress]]` step with `method = "prune_pattern"`.

    `pattern` is `N:M` (N of M inputs in a row stay, which sets the sparsity) or `FxI`, blocks of F
    filters times I inputs, of which `sparsity` go: of every layer or, with a global scope, of all
    together, none losing more than `layer_limit`. Dense layers and convolutions without groups.
    """

    pattern: str = Field(default=...)
    method: Literal["prune_pattern"] = "prune_pattern"
    sparsity: float | None = Field(default=None, gt=0.0, lt=1.0)
    initial_sparsity: float = Field(default=0.0, ge=0.0, lt=1.0)
    scope: Scope = "layer"
    layer_limit: float = Field(default=0.98, gt=0.0, le=1.0)

    @field_validator("pattern")
    @classmethod
    def _known(cls, value: str) -> str:
        parse_pattern(value)
        return value

    @model_validator(mode="after")
    def _fits(self) -> Config:
        ratio = isinstance(parse_pattern(self.pattern), Ratio)
        if ratio and (self.sparsity is not None or self.scope != "layer"):
            raise ValueError(f"pattern {self.pattern} sets the sparsity of every layer itself")
        if not ratio and self.sparsity is None:
            raise ValueError(f"blocks of {self.pattern} need a sparsity")
        if self.initial_sparsity > self.final:
            raise ValueError("initial_sparsity must not be larger than sparsity")
        if self.scope == "global" and self.final > self.layer_limit:
            raise ValueError("sparsity must not be larger than layer_limit with a global scope")
        return self

    @property
    def final(self) -> float:
        """The share of weights that go."""
        pattern = parse_pattern(self.pattern)
        if isinstance(pattern, Ratio):
            return 1.0 - pattern.keep / pattern.of
        assert self.sparsity is not None
        return self.sparsity


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Prune and fine-tune a Keras model in place.

    Raises:
        ConfigError: no weight is left to prune.
        DataError: there are no data, or none with labels that fit.
    """
    pattern = parse_pattern(config.pattern)
    allowed = {variable.path for variable in prunable(model, config.skip, NAME)}
    kernels = [use.layer.kernel for use in matrix_layers(model)]
    kernels = [kernel for kernel in kernels if kernel.path in allowed]
    if not kernels:
        raise ConfigError(
            f"{NAME} finds no weights to prune",
            allowed="Dense, Conv1D and Conv2D layers without groups that `skip` leaves over",
        )

    def choose(
        weights: Sequence[Array], kept: Sequence[Array], sparsity: float
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        scores = [as_matrix(np.square(weight, dtype=np.float64)).T for weight in weights]
        before = [as_matrix(mask).T for mask in kept]
        if isinstance(pattern, Ratio):
            # on the way there whole numbers of a group go, half up
            keep = max(pattern.keep, pattern.of - math.floor(sparsity * pattern.of + 0.5))
            masks = [
                ratio_mask(s, b, keep, pattern.of) for s, b in zip(scores, before, strict=True)
            ]
        else:
            masks = block_masks(scores, before, pattern, sparsity, config.scope, config.layer_limit)
        return [mask.T.reshape(k.shape) for mask, k in zip(masks, kept, strict=True)], weights

    changes = prune_gradually(
        model, kernels, config, context, NAME, config.initial_sparsity, config.final, choose
    )
    return Outcome(model, changes, DEVICE_SAVING)
