"""Every command that takes a model takes any format, and converts it once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.cli import run
from edgepack.config import load_config
from edgepack.convert import run as conversion
from edgepack.models.isolate import Task, kept_child, run_task
from edgepack.pipeline.run import run_config
from tests.tflite_builder import ModelBuilder, spec


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no converter may start."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("converted a second time")

    monkeypatch.setattr(conversion, "run_task", refuse)


@pytest.mark.needs_tf
def test_one_conversion_serves_all_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with kept_child():
        arguments = {"out": str(tmp_path)}
        run_task(Task("tests.convert.tasks:save_small", arguments, "saving", 300.0))
        model, project = tmp_path / "small.h5", tmp_path / "project"
        build = ["build", str(model), "-t", "host", "-o", str(project), "--no-compile"]
        assert run([*build, "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert built["model"]["name"] == "small" and built["warnings"] == []
    forbid(monkeypatch)
    assert run(["inspect", str(model), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["name"] == "small" and shown["source"]["format"] == "h5"
    assert shown["source"]["macs"] == shown["macs"] == 6 * 4 * 4 * 9 + 48 * 4
    assert shown["source"]["inputs"][0]["layout"] == "NHWC"
    assert run(["inspect", str(model)]) == 0
    assert "small.h5: h5" in capsys.readouterr().out
    assert run(["convert", str(model), "-o", str(tmp_path / "again.tflite"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reused"] is True
    assert run(build) == 0


def test_a_configuration_starts_from_a_legacy_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelBuilder()
    x = model.input("x", (1, 8), "UINT8", scale=0.1, zero_point=128)
    w = model.const(np.full((4, 8), 130, np.uint8), "UINT8", scale=0.1, zero_point=128)
    b = model.const(np.arange(4, dtype=np.int32), "INT32", scale=0.01)
    options = {"fused_activation_function": "NONE"}
    model.output(
        *model.op("FULLY_CONNECTED", [x, w, b], [spec((1, 4), "UINT8", 0.1, 120)], options)
    )
    (tmp_path / "legacy.tflite").write_bytes(model.build())
    text = '[model]\nsource = "legacy.tflite"\n[build]\ntargets = ["host"]\n'
    (tmp_path / "edgepack.toml").write_text(text)
    done = run_config(load_config(tmp_path))
    assert done.error is None
    assert any("int8 now" in note for note in done.prepared.notes)
    report = done.targets[0].report
    assert report is not None and report.parity is not None
    assert report.parity.mismatched_bytes == 0
    forbid(monkeypatch)
    assert run_config(load_config(tmp_path)).error is None
