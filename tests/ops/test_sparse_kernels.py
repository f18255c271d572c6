"""Kernels that leave out weights that are zero, on the ladder; what is stored, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgepack.emit.program
from edgepack.ops.shared.kernel import Isa, KernelCall, Lowered
from edgepack.ops.shared.sparse import Entries, encode_entries
from edgepack.types import Array
from tests.ops.fast_kernels import conv, kernels, of_kind, on
from tests.ops.ladder import climb
from tests.ops.weighted_model import Weighted

CORES = {
    "dsp": Isa(frozenset({"dsp"}), optimize="speed"),
    "plain": Isa(frozenset(), optimize="speed"),
}
BOTH = pytest.mark.parametrize("core", ["dsp", pytest.param("plain", marks=pytest.mark.slow)])


class Pruned(Weighted):
    """One weight of ten is not zero, and the last of each filter; the first filter has none.

    The filters with two values keep the layers from those of one magnitude, which are stored as
    bits.
    """

    def _weights(self, rng: np.random.Generator) -> Array:
        values = (super()._weights(rng) * (rng.random(self.w) < 0.1)).reshape(self.w[0], -1)
        values[1:, 0], values[1:, -1], values[0] = 50, -77, 0
        return values.reshape(self.w).astype(np.int8)


class PrunedInFours(Weighted):
    """Four inputs in a row at a time; the first ones stay."""

    def _weights(self, rng: np.random.Generator) -> Array:
        inputs = int(np.prod(self.w[1:]))
        stay = rng.random((self.w[0], inputs // 4)) < 0.15
        stay[:, 0] = True
        return (super()._weights(rng) * np.repeat(stay, 4, axis=1).reshape(self.w)).astype(np.int8)


def dense(kind: type[Weighted], x: tuple[int, int], outputs: int, **changes: Any) -> Weighted:
    return kind(
        "FULLY_CONNECTED", x, (outputs, x[1]), (x[0], outputs), outputs, 0,
        {"fused_activation_function": "NONE"}, narrow=True, label=f"{kind.__name__} {x} {changes}",
        **changes,
    )  # fmt: skip


def dense_layers() -> list[Weighted]:
    return [
        dense(Pruned, (1, 50), 30, per_channel=False),
        dense(Pruned, (1, 700), 6, zero_points=(-128, -128)),  # gaps above 255
        dense(Pruned, (3, 61), 5, bias=None),
        dense(PrunedInFours, (1, 120), 9),
        dense(PrunedInFours, (2, 1300), 7, per_channel=False, zero_points=(127, 3)),
    ]


def conv_layers() -> list[Weighted]:
    pruned: tuple[tuple[str, dict[str, Any]], ...] = (
        ("1x1 odd channels", {}),
        ("3x3 rgb stride 2", {"per_channel": False}),
        ("dilated odd channels", {"zero_points": (-128, -128)}),
        ("batches", {"bias": None}),
        ("kernel beyond input", {}),
        ("1x1 many inputs", {}),
    )
    fours = ("1x1 remainder 3", "3x3 same", "dilated", "10x4 one channel")
    return [
        *(of_kind(Pruned, conv(name, **changes)) for name, changes in pruned),
        *(of_kind(PrunedInFours, conv(name)) for name in fours),
    ]


def force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave zeros out of every layer, whether that pays or not."""

    def code(views: object, lowered: tuple[Lowered, ...], optimize: str) -> tuple[Lowered, ...]:
        return tuple(
            c.sparse.call if isinstance(c, KernelCall) and c.sparse else c for c in lowered
        )

    monkeypatch.setattr(edgepack.emit.program, "code_weights", code)


@BOTH
def test_dense_layers(core: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    force(monkeypatch)
    rng = np.random.default_rng(0)
    cases = [on(CORES[core], layer, rng) for layer in dense_layers()]
    for case in cases:
        assert kernels(case) == ["ep_fully_connected_s8_sparse"], case.id
    climb(cases, tmp_path)


@BOTH
def test_convolutions(core: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    force(monkeypatch)
    rng = np.random.default_rng(0)
    cases = [on(CORES[core], layer, rng) for layer in conv_layers()]
    for case in cases:
        assert kernels(case) == ["ep_conv2d_s8_sparse"], case.id
    climb(cases, tmp_path)


def decoded(entries: Entries, inputs: int) -> Array:
    """The weights again, by the format's description."""
    rows, at = [], 0
    for count in entries.counts.tolist():
        row, position = np.zeros((inputs // entries.block, entries.block), np.int8), 0
        for gap in entries.gaps[at : at + count].tolist():
            position += gap
            row[position] += entries.weights[at * entries.block : (at + 1) * entries.block]
            at += 1
        rows.append(row.reshape(-1))
    return np.array(rows)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 999), filters=st.integers(1, 5), inputs=st.integers(1, 900),
    block=st.sampled_from([1, 4]), share=st.floats(0, 1),
)  # fmt: skip
def test_entries_hold_the_weights(
    seed: int, filters: int, inputs: int, block: int, share: float
) -> None:
    inputs *= block
    generator = np.random.default_rng(seed)
    weights = generator.integers(-127, 128, (filters, inputs)).astype(np.int8)
    weights *= generator.random(weights.shape) < share * generator.random()
    np.testing.assert_array_equal(decoded(encode_entries(weights, block), inputs), weights)


def test_entries_by_hand() -> None:
    weights = np.zeros((3, 600), np.int8)
    weights[0, [0, 3]] = 5, -6
    weights[2, 599] = 7
    made = encode_entries(weights, 1)
    assert made.counts.tolist() == [2, 0, 3]
    assert made.gaps.tolist() == [0, 3, 255, 255, 89]
    assert made.weights.tolist() == [5, -6, 0, 0, 7]
    fours = encode_entries(weights, 4)
    assert fours.counts.tolist() == [1, 0, 1]
    assert fours.gaps.tolist() == [0, 149]
    assert fours.weights.tolist() == [5, 0, 0, -6, 0, 0, 0, 7]
    assert fours.nbytes == 6 + 2 + 8
