"""The benchmark scripts' own arithmetic: the floor's facts, verdicts, layer shapes, the chart."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import floor
from benchmarks.__main__ import TARGETS
from benchmarks.chart import draw
from benchmarks.measure import MLPERF_TINY, Figures, core_of
from benchmarks.shapes import SHAPES, Shape
from edgepack.errors import BuildError
from edgepack.frontends.tflite import load_tflite

FIGURES = Figures(4e6, 10, 50_000, None, 300, 0, 200, 100, 0)


def test_the_floor_is_whole() -> None:
    for core, figures in floor.document()["cores"].items():
        for figure in figures:
            for model in MLPERF_TINY:
                limits = floor.limits(core, model, figure)
                assert limits.floor is not None and limits.bar is not None
                assert limits.floor > limits.bar > (limits.stretch or 0)
    stated = {*floor.document()["cores"], *floor.document()["follows"]}
    assert {core_of(target) for target in TARGETS} - stated == {"rv32imac"}


def test_verdicts() -> None:
    limits = floor.Limits(100, 50, 40)
    assert [limits.verdict(v) for v in (51, 50, 41, 40)] == ["MISS", "ok", "ok", "stretch"]
    assert limits.ratio(25) == 4
    assert floor.Limits().verdict(1) == "" and floor.Limits().ratio(1) is None
    assert floor.limits("cortex-m7", "kws", "ram") == floor.limits("cortex-m4", "kws", "ram")


def test_shapes_are_what_they_are_called(tmp_path: Path) -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES) >= 12
    for shape in SHAPES:
        path = tmp_path / "layer.tflite"
        path.write_bytes(shape.model())
        load_tflite(path, name="layer")
    named = Shape("conv", (3, 8), (32, 30), (3, 3), (2, 1), padding="VALID")
    assert named.name == "conv 3x3 32x30x3 ->8 stride 2x1 valid"


def test_the_chart_leaves_out_what_failed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    row: dict[str, Figures | BuildError] = {"kws": FIGURES, "ic": BuildError("no")}
    path = draw({"netduinoplus2": row}, tmp_path / "chart.png")
    assert path is not None and path.read_bytes().startswith(b"\x89PNG")
    assert draw({"virt-rv32": row}, tmp_path / "none.png") is None
