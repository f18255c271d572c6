"""N:M and block sparsity: what goes, by hand and in a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgepack.compress.apply import STEPS
from edgepack.compress.context import Context
from edgepack.compress.layer_inputs import as_matrix
from edgepack.compress.options import FineTune
from edgepack.compress.patterns import Block, Ratio, block_masks, parse_pattern, ratio_mask
from edgepack.compress.prune_pattern import Config, run
from edgepack.models.progress import silent
from tests.compress import networks
from tests.compress.test_structured import data_for


def test_patterns_are_read() -> None:
    assert parse_pattern("2:4") == Ratio(2, 4)
    assert parse_pattern("4x1") == Block(4, 1)
    for text in ("4:2", "4:4", "0:4", "1x1", "0x4", "2-4", "", "2:4:8"):
        with pytest.raises(ValueError, match="pattern"):
            parse_pattern(text)


def test_two_of_four_by_hand() -> None:
    scores = np.array([[1.0, 4.0, 2.0, 3.0, 5.0, 6.0], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
    mask = ratio_mask(scores, np.ones(scores.shape, np.bool_), 2, 4)
    assert mask.astype(int).tolist() == [[0, 1, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]]
    fewer = ratio_mask(scores, mask, 1, 4)
    assert fewer.astype(int).tolist() == [[0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 0, 1]]


def test_blocks_by_hand() -> None:
    scores = np.array([[1.0, 1.0, 9.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    everything = [np.ones(scores.shape, np.bool_)]
    rows = block_masks([scores], everything, Block(1, 2), 0.5, "layer", 1.0)[0]
    # means 1, 4.5, 3 and three zeros: half of the six blocks go
    assert rows.astype(int).tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    tall = block_masks([scores], everything, Block(2, 1), 0.6, "layer", 1.0)[0]
    assert tall.astype(int).tolist() == [[0, 0, 1, 0, 1], [0, 0, 1, 0, 1]]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 99), filters=st.integers(1, 7), inputs=st.integers(1, 19),
    of=st.integers(2, 8), data=st.data(),
)  # fmt: skip
def test_no_group_keeps_more_and_masks_only_shrink(
    seed: int, filters: int, inputs: int, of: int, data: Any
) -> None:
    scores = np.random.default_rng(seed).random((filters, inputs))
    keep = data.draw(st.integers(1, of - 1))
    before = np.ones(scores.shape, np.bool_)
    for count in range(of, keep - 1, -1):
        mask = ratio_mask(scores, before, count, of)
        assert not (mask & ~before).any()
        before = mask
    for start in range(0, inputs, of):
        group = before[:, start : start + of]
        assert (group.sum(axis=1) == min(keep, group.shape[1])).all()


@pytest.mark.needs_tf
@pytest.mark.parametrize(("pattern", "sparsity"), [("1:4", None), ("1x4", 0.75), ("4x1", 0.5)])
def test_a_network_gets_its_pattern(pattern: str, sparsity: float | None) -> None:
    model = networks.convolutions()
    config = Config(
        pattern=pattern, sparsity=sparsity, every=2, finetune=FineTune(epochs=2, batch_size=16)
    )
    outcome = run(model, config, Context(data_for(model, 4), silent))
    # the depthwise layer between them is none of its
    names = [layer.name.split("/")[-2] for layer in outcome.layers]
    assert names == ["a", "b", "c", "end"]
    for name in ("a", "b", "c", "end"):
        matrix = as_matrix(np.asarray(outcome.model.get_layer(name).kernel)).T != 0
        if pattern == "1:4":
            for start in range(0, matrix.shape[1], 4):
                assert (matrix[:, start : start + 4].sum(axis=1) == 1).all()
        else:
            rows, inputs = (1, 4) if pattern == "1x4" else (4, 1)
            blocks = [
                matrix[r : r + rows, c : c + inputs]
                for r in range(0, matrix.shape[0], rows)
                for c in range(0, matrix.shape[1], inputs)
            ]
            assert all(block.all() or not block.any() for block in blocks)
            assert sparsity is not None
            assert sum(not b.any() for b in blocks) == int(sparsity * len(blocks) + 0.5)


@pytest.mark.parametrize(
    "values",
    [
        {"pattern": "2:4", "sparsity": 0.5},
        {"pattern": "2:4", "scope": "global"},
        {"pattern": "1x4"},
        {"pattern": "4:4"},
        {"pattern": "1x4", "sparsity": 0.5, "initial_sparsity": 0.6},
        {"sparsity": 0.5},
    ],
)
def test_configurations_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        STEPS.validate_python([{"method": "prune_pattern", **values}])
