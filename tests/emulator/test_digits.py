"""The example, from training to the emulated boards, as `make demo` runs it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from edgepack import cli

TARGETS = ("netduinoplus2", "mps2-an386")
ACCURACY = 0.95  # of 450 images the device gets at least this share right; it had 98 %
SECOND_RUN_SECONDS = 40.0


@pytest.mark.emulator
@pytest.mark.needs_tf
@pytest.mark.needs_oracle
@pytest.mark.slow
def test_the_demo(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "digits"
    ignored = shutil.ignore_patterns("build", ".edgepack-cache", "__pycache__")
    shutil.copytree(checkout / "examples" / "digits", folder, ignore=ignored)
    first = _run(folder, capsys)
    assert [stage["reused"] for stage in first["stages"]] == [False] * 4
    started = time.monotonic()
    second = _run(folder, capsys)
    assert time.monotonic() - started < SECOND_RUN_SECONDS
    assert [stage["reused"] for stage in second["stages"]] == [True] * 4
    for document in (first, second):
        assert [run["target"] for run in document["targets"]] == list(TARGETS)
        for run in document["targets"]:
            report = run["run"]
            assert report["parity"]["mismatched_bytes"] == 0
            assert report["parity"]["samples"] == 450
            assert report["accuracy"]["device"] == report["accuracy"]["oracle"] >= ACCURACY
            assert report["device"]["instructions"]["median"] > 0
            assert report["device"]["latency_us"] is None


def _run(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, Any]]]:
    assert cli.run(["run", str(folder), "--json"]) == 0
    document: dict[str, list[dict[str, Any]]] = json.loads(capsys.readouterr().out)
    return document
