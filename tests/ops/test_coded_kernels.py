"""Kernels with coded weights, each coding on each kind of core, on the ladder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgepack.emit.program
from edgepack.ops.shared import coded
from edgepack.ops.shared.kernel import Isa, KernelCall, Lowered
from edgepack.types import Array
from tests.ops.fast_kernels import conv, kernels, of_kind, on
from tests.ops.ladder import climb
from tests.ops.test_fully_connected import dense
from tests.ops.weighted_model import Weighted

CORES = {
    "dsp": Isa(frozenset({"dsp"}), optimize="speed"),
    "mve": Isa(frozenset({"mve"}), optimize="speed"),
    "mul32": Isa(frozenset({"mul32"}), optimize="speed"),
    "mul64": Isa(frozenset({"mul32", "mul64"}), optimize="speed"),
}
SHAPES = ("1x1 odd channels", "3x3 same")
MORE_SHAPES = ("1x1 expanding, remainder 2", "batches")


class Clustered(Weighted):
    """Weights of nine values, most of them 0."""

    def _weights(self, rng: np.random.Generator) -> Array:
        values = np.array([-127, -90, -33, -1, 0, 5, 64, 101, 127], np.int8)
        share = np.where(values == 0, 0.6, 0.05)
        return rng.choice(values, self.w, p=share).astype(np.int8)


class ClusteredUnpaired(Clustered):
    """The same with filters that cannot share words."""

    def _weights(self, rng: np.random.Generator) -> Array:
        values = super()._weights(rng)
        values[0].flat[0], values[1].flat[0] = -1, -128
        return values


class Bell(Weighted):
    """Weights of a normal distribution, which need long codes."""

    def _weights(self, rng: np.random.Generator) -> Array:
        return np.clip(rng.normal(0, 20, self.w), -127, 127).astype(np.int8)


def force(monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    """Code every layer, whether it pays or not, in tiles of one unit and more."""

    def code(views: object, lowered: tuple[Lowered, ...], optimize: str) -> tuple[Lowered, ...]:
        return tuple(_variant(call, kind) for call in lowered)

    monkeypatch.setattr(edgepack.emit.program, "code_weights", code)
    monkeypatch.setattr(coded, "_TILE_UNITS", 2)
    monkeypatch.setattr(coded, "_TILE_BYTES", 1)


def _variant(call: Lowered, kind: int) -> Lowered:
    if not isinstance(call, KernelCall) or call.units is None:
        return call
    found = coded.coded_call(call, call.units, coded.CODINGS[kind])
    return call if found is None else found.call


KINDS = {"huffman": 0, "table": 1, "sparse": 2}


def climb_coded(core: str, kind: int, layers: list[Weighted], work: Path) -> None:
    rng = np.random.default_rng(kind)
    cases = [on(CORES[core], layer, rng) for layer in layers]
    for case in cases:
        assert kernels(case)[0].endswith("_coded"), case.id
    climb(cases, work)


@pytest.mark.parametrize(
    ("core", "coding"),
    [("dsp", "huffman"), ("mul64", "table"), ("mve", "sparse"), ("mul32", "table")],
)
def test_each_coding_and_each_core(
    core: str, coding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    force(monkeypatch, KINDS[coding])
    layers = [of_kind(Clustered, conv(name)) for name in SHAPES]
    layers.append(of_kind(Clustered, dense("row", narrow=True, per_channel=True)))
    if core == "dsp":
        layers.append(of_kind(ClusteredUnpaired, dense("row", per_channel=True)))
    climb_coded(core, KINDS[coding], layers, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("coding", KINDS)
@pytest.mark.parametrize("core", CORES)
def test_every_coding_on_every_core(
    core: str, coding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    force(monkeypatch, KINDS[coding])
    layers = [of_kind(Clustered, conv(name)) for name in SHAPES + MORE_SHAPES]
    layers += [of_kind(Clustered, dense(shape, narrow=True)) for shape in ("row", "one to one")]
    if coding == "huffman":
        layers.append(of_kind(Bell, conv("5x5")))
    if core == "dsp":
        layers.append(of_kind(ClusteredUnpaired, conv("3x3 same")))
    climb_coded(core, KINDS[coding], layers, tmp_path)
