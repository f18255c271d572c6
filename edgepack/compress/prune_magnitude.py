"""Unstructured pruning by magnitude: the smallest weights become zero while the rest is trained.

The gradual schedule is Zhu and Gupta's (2017, "To prune, or not to prune: exploring the efficacy of
pruning for model compression", arXiv:1710.01878); masks only ever grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context, Outcome
from edgepack.compress.gradual import Sparse, prune_gradually
from edgepack.compress.masks import magnitude_masks
from edgepack.compress.weights import prunable
from edgepack.types import Array

NAME = "prune_magnitude"
DEVICE_SAVING = (
    "none with TFLite Micro, where a zero weight is stored and multiplied like any other. The C "
    "runtime stores and multiplies only what is not zero in layers where that is smaller or faster "
    "(`edgepack build --explain` names them)."
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config(Sparse):
    """One `[[compress]]` step with `method = "prune_magnitude"`."""

    method: Literal["prune_magnitude"] = "prune_magnitude"


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Prune and fine-tune a Keras model in place.

    Raises:
        ConfigError: no weight is left to prune.
        DataError: there are no data, or none with labels that fit.
    """

    def choose(
        weights: Sequence[Array], kept: Sequence[Array], sparsity: float
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        masks = magnitude_masks(weights, kept, sparsity, config.scope, config.layer_limit)
        return masks, weights

    variables = prunable(model, config.skip, NAME)
    changes = prune_gradually(
        model, variables, config, context, NAME, config.initial_sparsity, config.sparsity, choose
    )
    return Outcome(model, changes, DEVICE_SAVING)
