"""Optimal Brain Damage: the weights go whose loss rises least, by the Hessian's diagonal.

LeCun, Denker and Solla 1989, "Optimal brain damage" (NIPS 2): deleting weight w costs h w^2 / 2,
where h is the second derivative of the loss, the others held fixed. They are measured anew each
time that weights go; in between the rest is trained, as the paper does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context, Outcome
from edgepack.compress.curvature import Curvature, diagonal
from edgepack.compress.gradual import Sparse, prune_gradually
from edgepack.compress.masks import Scope, score_masks
from edgepack.compress.prune_magnitude import DEVICE_SAVING
from edgepack.compress.weights import prunable
from edgepack.errors import DataError
from edgepack.types import Array

NAME = "prune_obd"
# Where no sample has a gradient (inputs that are always zero) saliencies are all zero: a trace of
# the magnitude then decides. Relative to the mean curvature of the array.
_TRACE = 1e-6


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config(Sparse):
    """One `[[compress]]` step with `method = "prune_obd"`.

    `curvature` says how second derivatives are estimated (`compress.curvature`), from `samples`
    of the training split. Saliencies of all layers are rises of one loss, hence the global scope.
    """

    method: Literal["prune_obd"] = "prune_obd"
    scope: Scope = "global"
    every: int = Field(default=100, ge=1)
    curvature: Curvature = "gauss_newton"
    samples: int = Field(default=500, ge=1)


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Prune and fine-tune a Keras model in place.

    Raises:
        ConfigError: no weight is left to prune, or a loss whose curvature is not known.
        DataError: there are no data, or none with labels that fit.
    """
    data = context.data
    if data is None:
        raise DataError(f"{NAME} needs data for its curvature", allowed="x_train and y_train")
    variables = prunable(model, config.skip, NAME)

    def choose(
        weights: Sequence[Array], kept: Sequence[Array], sparsity: float
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        # other samples each time: the same few would be pruned for; drawn by the sparsity and not
        # by what was drawn before, so that a resumed run draws the same
        generator = np.random.default_rng([config.seed, int(sparsity * (1 << 32))])
        chosen = data.train.take(generator.permutation(len(data.train))[: config.samples])
        seed = int(generator.integers(2**31))
        curves = diagonal(model, variables, chosen, config.curvature, config.finetune.loss, seed)
        scores = [saliency(w, h) for w, h in zip(weights, curves, strict=True)]
        return score_masks(scores, kept, sparsity, config.scope, config.layer_limit), weights

    changes = prune_gradually(
        model, variables, config, context, NAME, config.initial_sparsity, config.sparsity, choose
    )
    return Outcome(model, changes, DEVICE_SAVING)


def saliency(weights: Array, curvature: Array) -> Array:
    """By how much the loss rises when a weight alone becomes zero, to second order."""
    weights = np.asarray(weights, np.float64)
    return np.asarray(0.5 * (curvature + _TRACE * float(curvature.mean())) * weights**2)
