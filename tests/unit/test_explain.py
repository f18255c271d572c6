"""`edgepack build --explain`: its figures agree with the sources, the image and the plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepack import cli
from edgepack.manifest import read_manifest
from tests.small_models import small_cnn


def _explain(tmp_path: Path, *more: str, target: str = "netduinoplus2") -> Path:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_cnn())
    project = tmp_path / "project"
    arguments = ["--target", target, "--out", str(project), "--explain", *more]
    assert cli.run(["build", str(model), *arguments]) == 0
    return project


def test_functions_are_those_of_the_generated_c(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = _explain(tmp_path, "--json", "--no-compile")
    (graph,) = json.loads(capsys.readouterr().out)["plan"]["graphs"]
    source = (project / "model" / "ep_small.c").read_text()
    called = [layer for layer in graph["layers"] if layer["function"] is not None]
    assert called
    for layer in called:
        body = source.split(f" {layer['function']}(", 1)[1]
        assert f"{layer['kernel']}(" in body.split("\n}", 1)[0]
        assert layer["code_bytes"] is None


@pytest.mark.emulator
def test_code_is_counted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = _explain(tmp_path, "--json")
    plan = json.loads(capsys.readouterr().out)["plan"]
    layers = [layer for graph in plan["graphs"] for layer in graph["layers"]]
    sizes = read_manifest(project).sizes
    assert sizes is not None
    assert 0 < sum(layer["code_bytes"] or 0 for layer in layers) < sizes.flash_code
    assert max(layer["live_bytes"] for layer in layers) <= plan["arena_bytes"]
    for layer in layers:
        assert layer["code_bytes"] is None or layer["code_of"] is None


@pytest.mark.emulator
def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _explain(tmp_path)
    printed = capsys.readouterr().out
    assert "CONV_2D" in printed and "SMLAD" in printed
    assert "optimized for balanced, features dsp" in printed
