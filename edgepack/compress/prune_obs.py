"""Optimal Brain Surgeon, layer by layer: weights go, and those that stay make up for them.

Hassibi and Stork 1992, "Second order derivatives for network pruning: optimal brain surgeon" (NIPS
5), for each filter of a layer alone, with the error of its own outputs on real activations in place
of the loss (Dong et al. 2017, "Learning to prune deep neural networks via layer-wise optimal brain
surgeon", arXiv:1705.07565; Frantar and Alistarh 2023, "SparseGPT", arXiv:2301.00774).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgepack.compress.context import Context, Outcome
from edgepack.compress.gradual import Sparse, prune_gradually
from edgepack.compress.layer_inputs import Use, as_matrix, matrix_layers, moments
from edgepack.compress.masks import score_masks
from edgepack.compress.prune_magnitude import DEVICE_SAVING
from edgepack.compress.schedule import ScheduleKind
from edgepack.compress.weights import prunable
from edgepack.errors import ConfigError, DataError
from edgepack.types import Array

NAME = "prune_obs"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config(Sparse):
    """One `[[compress]]` step with `method = "prune_obs"`.

    `damping`, times the mean of the diagonal, is added to the diagonal of each layer's matrix of
    second moments, taken from `samples` of the training split. Whenever weights go, they do so in
    `stages`, which keep equal shares of what was there; after each, saliencies are computed anew
    (one weight at a time is the original method). Dense layers and convolutions without groups;
    a layer with more than `largest` inputs to a filter is refused (time grows with their cube).
    With a global scope, errors are taken relative to the power of the layer's outputs.
    """

    method: Literal["prune_obs"] = "prune_obs"
    schedule: ScheduleKind = "constant"
    every: int = Field(default=200, ge=1)
    samples: int = Field(default=1000, ge=1)
    damping: float = Field(default=0.01, gt=0.0)
    stages: int = Field(default=4, ge=1)
    largest: int = Field(default=2000, ge=1)


def run(model: Any, config: Config, context: Context) -> Outcome:
    """Prune and fine-tune a Keras model in place.

    Raises:
        ConfigError: no weight is left to prune, or a layer is too large.
        DataError: there are no data, or (to train) none with labels that fit.
    """
    data = context.data
    if data is None:
        raise DataError(f"{NAME} needs samples of what the layers read", allowed="x_train")
    surgeon = _Surgeon(model, config, context)

    def choose(
        weights: Sequence[Array], kept: Sequence[Array], sparsity: float
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        return surgeon.prune(kept, sparsity)

    kernels = [use.layer.kernel for use in surgeon.uses]
    changes = prune_gradually(
        model, kernels, config, context, NAME, config.initial_sparsity, config.sparsity, choose
    )
    return Outcome(model, changes, DEVICE_SAVING)


class _Surgeon:
    """The layers that are pruned, and the order in which samples are drawn."""

    def __init__(self, model: Any, config: Config, context: Context) -> None:
        self.model, self.config, self.context = model, config, context
        allowed = {variable.path for variable in prunable(model, config.skip, NAME)}
        self.uses = [use for use in matrix_layers(model) if use.layer.kernel.path in allowed]
        if not self.uses:
            raise ConfigError(
                f"{NAME} finds no weights to prune",
                allowed="Dense, Conv1D and Conv2D layers without groups that `skip` leaves over",
            )
        for use in self.uses:
            inputs = as_matrix(np.asarray(use.layer.kernel)).shape[0]
            if inputs > config.largest:
                raise ConfigError(
                    f"{NAME}: a filter of {use.layer.name} has {inputs} inputs, more than "
                    f"largest = {config.largest}",
                    next_step=f"skip '{use.layer.name}/kernel', or raise `largest`",
                )

    def prune(self, kept: Sequence[Array], sparsity: float) -> tuple[list[Array], list[Array]]:
        """Masks of at least this sparsity, and the weights that make up for what went."""
        masks = [np.asarray(mask) for mask in kept]
        start = sum(int(m.sum()) for m in masks) / sum(m.size for m in masks)
        stages = self.config.stages
        for stage in range(stages):
            share = start * ((1.0 - sparsity) / start) ** ((stage + 1) / stages)
            masks = self._stage(masks, 1.0 - share if stage + 1 < stages else sparsity)
            text = f"stage {stage + 1}/{stages}, {100 * (1 - share):.1f} % gone"
            self.context.progress(NAME, None, text)
        return masks, [np.asarray(use.layer.kernel) for use in self.uses]

    def _stage(self, masks: list[Array], sparsity: float) -> list[Array]:
        assert self.context.data is not None
        train = self.context.data.train
        # by the sparsity and not by what was drawn before, so that a resumed run draws the same
        generator = np.random.default_rng([self.config.seed, int(sparsity * (1 << 32))])
        order = generator.permutation(len(train))[: self.config.samples]
        found = moments(self.model, self.uses, train.take(order))
        curves = [
            damped(matrix, self.config.damping, use.layer.use_bias)
            for use, matrix in zip(self.uses, found, strict=True)
        ]
        scores = []
        for use, mask, curve in zip(self.uses, masks, curves, strict=True):
            matrix = _with_bias(use)
            score = saliencies(matrix, _flat(mask), curve)
            if self.config.scope == "global":
                power = float(np.einsum("if,ij,jf->", matrix, curve, matrix))
                score = score / (power or 1.0)
            scores.append(score.reshape(mask.shape))
        limit = self.config.layer_limit
        after = score_masks(scores, masks, sparsity, self.config.scope, limit)
        for use, mask, curve in zip(self.uses, after, curves, strict=True):
            _assign(use, compensate(_with_bias(use), _flat(mask), curve), mask)
        return after


def damped(moment: Array, damping: float, use_bias: bool) -> Array:
    """A matrix of second moments that can be inverted, and that pulls weights to where they are.

    The last row is the bias's, which nothing pulls; without a bias it stands alone.
    """
    result = moment.copy()
    index = np.arange(len(moment) - 1)
    # damping itself where all inputs are zero: nothing is known of them
    result[index, index] += damping * (float(np.diag(moment)[:-1].mean()) or 1.0)
    # keeps the matrix regular where an input is constant; far below what rounding leaves
    result[-1, -1] *= 1.0 + 1e-9
    if not use_bias:
        result[-1, :-1] = result[:-1, -1] = 0.0
    return result


def saliencies(matrix: Array, kept: Array, curve: Array) -> Array:
    """What it costs to drop each weight when the others of its filter make up for it.

    Half the squared weight over the diagonal of the inverse of `curve`, restricted to the weights
    that are left (Hassibi and Stork, equation 5).

    Args:
        matrix: [inputs + 1, filters], the last row biases; zero where dropped.
        kept: bool [inputs, filters].
        curve: [inputs + 1, inputs + 1], symmetric and positive definite.

    Returns:
        [inputs, filters], 0 where dropped.
    """
    costs = np.zeros(kept.shape)
    for columns, rows in _alike(kept):
        inverse = np.diag(np.linalg.inv(curve[np.ix_(rows, rows)]))[:-1]
        weights = matrix[np.ix_(rows[:-1], columns)]
        costs[np.ix_(rows[:-1], columns)] = 0.5 * weights**2 / inverse[:, None]
    return costs


def compensate(matrix: Array, kept: Array, curve: Array) -> Array:
    """Each filter with the error against what it was that is least without what is dropped.

    Args:
        matrix: [inputs + 1, filters], the last row biases.
        kept: bool [inputs, filters]; biases stay.
        curve: [inputs + 1, inputs + 1]: the error of a difference d is d^T curve d.

    Returns:
        As `matrix`, zero where dropped.
    """
    result = np.zeros(matrix.shape)
    for columns, rows in _alike(kept):
        gone = np.setdiff1d(np.arange(len(matrix)), rows)
        before = matrix[np.ix_(rows, columns)]
        lost = curve[np.ix_(rows, gone)] @ matrix[np.ix_(gone, columns)]
        result[np.ix_(rows, columns)] = before + np.linalg.solve(curve[np.ix_(rows, rows)], lost)
    return result


def _alike(kept: Array) -> list[tuple[Array, Array]]:
    """Filters that keep the same inputs, with these inputs and the bias's."""
    patterns, member = np.unique(kept, axis=1, return_inverse=True)
    member = member.reshape(-1)
    last = np.array([kept.shape[0]])
    return [
        (np.flatnonzero(member == i), np.concatenate([np.flatnonzero(patterns[:, i]), last]))
        for i in range(patterns.shape[1])
    ]


def _flat(mask: Array) -> Array:
    return as_matrix(mask)


def _with_bias(use: Use) -> Array:
    """A layer's weights as [inputs + 1, filters], float64; a bias of 0 where it has none."""
    matrix = as_matrix(np.asarray(use.layer.kernel, np.float64))
    bias = np.zeros((1, matrix.shape[1]))
    if use.layer.use_bias:
        bias[0] = np.asarray(use.layer.bias)
    return np.concatenate([matrix, bias])


def _assign(use: Use, matrix: Array, mask: Array) -> None:
    kernel = matrix[:-1].reshape(mask.shape) * mask
    use.layer.kernel.assign(kernel.astype(np.float32))
    if use.layer.use_bias:
        use.layer.bias.assign(matrix[-1].astype(np.float32))
