"""Kernels with coded weights, each coding on each kind of core, on the ladder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgepack.emit.program
from edgepack.ops.shared import coded
from edgepack.ops.shared.kernel import Isa, KernelCall, Lowered
from edgepack.types import Array
from tests.c_batch import Case, compile_case
from tests.ops.ladder import climb
from tests.ops.test_dsp_kernels import conv
from tests.ops.test_fully_connected import dense
from tests.ops.weighted_model import Weighted

CORES = {
    "dsp": Isa(frozenset({"dsp"}), optimize="speed"),
    "mve": Isa(frozenset({"mve"}), optimize="speed"),
    "mul32": Isa(frozenset({"mul32"}), optimize="speed"),
    "mul64": Isa(frozenset({"mul32", "mul64"}), optimize="speed"),
}
SHAPES = ("1x1 odd channels", "1x1 expanding, remainder 2", "3x3 same", "batches")


class Clustered(Weighted):
    """Weights of nine values, most of them 0."""

    def _weights(self, rng: np.random.Generator) -> Array:
        values = np.array([-127, -90, -33, -1, 0, 5, 64, 101, 127], np.int8)
        share = np.where(values == 0, 0.6, 0.05)
        return rng.choice(values, self.w, p=share).astype(np.int8)


class Bell(Weighted):
    """Weights of a normal distribution, which need long codes."""

    def _weights(self, rng: np.random.Generator) -> Array:
        return np.clip(rng.normal(0, 20, self.w), -127, 127).astype(np.int8)


def made(kind: type[Weighted], plain: Weighted) -> Weighted:
    return kind(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})


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


def function(case: Case) -> str:
    program, _ = compile_case(case, "probe")
    return next(c.function for c in program.main.lowered if isinstance(c, KernelCall))


_IDS = ("huffman", "table", "sparse")
# the quick ones: each coding and each kind of core once
_QUICK = {("huffman", "dsp"), ("table", "mul64"), ("sparse", "mve"), ("table", "mul32")}


@pytest.mark.parametrize(
    ("core", "kind"),
    [
        pytest.param(
            core,
            coding.kind,
            id=f"{core} {name}",
            marks=() if (name, core) in _QUICK else pytest.mark.slow,
        )
        for core in CORES
        for coding, name in zip(coded.CODINGS, _IDS, strict=True)
    ],
)
def test_climbs(core: str, kind: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(kind)
    force(monkeypatch, kind)
    layers = [made(Clustered, conv(name)) for name in SHAPES]
    layers += [made(Clustered, dense(shape, narrow=True)) for shape in ("row", "one to one")]
    layers.append(made(Clustered, dense("row", narrow=True, per_channel=True)))
    if kind == 0:
        layers.append(made(Bell, conv("5x5")))
    cases = [replace(layer.case(rng), isa=CORES[core]) for layer in layers]
    for case in cases:
        assert function(case).endswith("_coded"), case.id
    climb(cases, tmp_path)
