"""Regular sparsity: N of M weights, or blocks, of a kernel read as a matrix [filters, inputs].

The inputs of a filter are in the order of TensorFlow Lite's weights: for a convolution height,
width, channels. Groups and blocks start at each filter's first input; the last may be shorter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.compress.masks import Scope, score_masks
from edgepack.types import Array

_FORM = re.compile(r"(\d{1,3})([:x])(\d{1,3})")


@dataclass(frozen=True)
class Ratio:
    """`keep` of every `of` inputs in a row that a filter reads."""

    keep: int
    of: int


@dataclass(frozen=True)
class Block:
    """Weights of `filters` times `inputs` that go together."""

    filters: int
    inputs: int


Pattern = Ratio | Block


def parse_pattern(text: str) -> Pattern:
    """`2:4` or `1x4` (filters times inputs).

    Raises:
        ValueError: it is neither, or would keep everything.
    """
    match = _FORM.fullmatch(text)
    first, last = (int(match[1]), int(match[3])) if match else (0, 0)
    if match and match[2] == ":" and 0 < first < last:
        return Ratio(first, last)
    if match and match[2] == "x" and first * last > 1:
        return Block(first, last)
    raise ValueError(f"pattern {text!r} must be N:M with N below M, or FILTERSxINPUTS, as in 1x4")


def ratio_mask(scores: Array, kept: Array, keep: int, of: int) -> Array:
    """A mask that keeps the best of every group of inputs, at most `keep` of them.

    Args:
        scores: [filters, inputs].
        kept: bool, the mask so far; the new one is within it.
        keep: of a whole group; of a shorter last one no more than that.
        of: inputs of a group.
    """
    filters, inputs = scores.shape
    fill = -inputs % of
    ranked = np.pad(np.where(kept, scores, -1.0), ((0, 0), (0, fill)), constant_values=-2.0)
    groups = ranked.reshape(filters, -1, of)
    # of equal scores the first goes first, as in masks.py
    order = np.argsort(groups, axis=2, kind="stable")
    mask = np.zeros(groups.shape, np.bool_)
    np.put_along_axis(mask, order[:, :, of - keep :], True, axis=2)
    return np.asarray(mask.reshape(filters, -1)[:, :inputs] & kept)


def block_scores(scores: Array, block: Block) -> Array:
    """The mean score of each block, [rows of blocks, columns of blocks]."""
    return np.asarray(_sums(scores, block) / _sums(np.ones(scores.shape), block))


def block_masks(
    scores: Sequence[Array],
    kept: Sequence[Array],
    block: Block,
    sparsity: float,
    scope: Scope,
    layer_limit: float,
) -> list[Array]:
    """Masks of whole blocks: `score_masks` of the blocks' mean scores.

    Args:
        scores: by layer [filters, inputs].
        kept: bool, the masks so far, of whole blocks.
        block: its size.
        sparsity: the share of blocks to drop.
        scope: of every layer, or of all together.
        layer_limit: the most that a global scope drops of one layer.
    """
    means = [block_scores(score, block) for score in scores]
    before = [_sums(mask, block) > 0 for mask in kept]
    after = score_masks(means, before, sparsity, scope, layer_limit)
    return [_expand(mask, block, score.shape) for mask, score in zip(after, scores, strict=True)]


def _sums(values: Array, block: Block) -> Array:
    rows = np.add.reduceat(
        values.astype(np.float64), np.arange(0, values.shape[0], block.filters), axis=0
    )
    return np.asarray(np.add.reduceat(rows, np.arange(0, values.shape[1], block.inputs), axis=1))


def _expand(mask: Array, block: Block, shape: tuple[int, ...]) -> Array:
    whole = np.repeat(np.repeat(mask, block.filters, axis=0), block.inputs, axis=1)
    return np.asarray(whole[: shape[0], : shape[1]])
