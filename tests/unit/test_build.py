"""`edgepack build`: whole or not at all, refusals, and what the cache saves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgepack import cli
from edgepack.cache import Cache
from edgepack.errors import (
    ConfigError,
    MissingToolError,
    ModelError,
    ProjectError,
    UnsupportedError,
    UsageError,
)
from edgepack.manifest import read_manifest
from edgepack.models.progress import silent
from edgepack.pipeline.build import BuildRequest, build_cached, is_project
from tests.small_models import small_cnn

# What the issue that this command was written for allows, for the MLPerf Tiny KWS model.
# 3 s on the clock of an idle machine is the promise. CPU time is measured instead, and a busy
# machine charges up to half more of it (shared caches, hyper-threads).
KWS_SECONDS = 4.5
KWS_BYTES = 300 * 2**20


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_cnn())
    return path


def _build(model: Path, out: Path, *more: str, target: str = "host") -> int:
    return cli.run(["build", str(model), "--target", target, "--out", str(out), *more])


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_project_is_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "project"
    assert _build(model, out, "--json", "--explain") == 0
    document = json.loads(capsys.readouterr().out)
    manifest = read_manifest(out)
    assert document["build_id"] == manifest.build_id
    assert document["plan"]["arena_bytes"] == manifest.arena_bytes
    assert manifest.image is not None
    assert (out / manifest.image).is_file()
    assert (out / "model.tflite").read_bytes() == model.read_bytes()
    assert (out / "model" / "ep_small.h").is_file()
    assert (out / "model" / "small_tflite.c").is_file()
    assert is_project(out)


def test_the_same_input_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert _build(model, tmp_path / name) == 0
    first, second = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in _files(tmp_path / name)}
        for name in ("a", "b")
    )
    assert first == second


def _files(folder: Path) -> list[Path]:
    """Everything but object files and map, which name the order in which things were compiled."""
    kept = ("firmware.elf", "bench")
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and (path.parent.name != "build" or path.name in kept)
    ]


def test_an_earlier_project_is_replaced(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "project"
    assert _build(model, out, "--no-compile") == 0
    (out / "left-over").touch()
    assert _build(model, out, "--no-compile") == 0
    assert "left-over" not in _names(out)


@pytest.mark.parametrize("content", [{"letter": "dear"}, {"manifest.json": '{"name": "app"}'}])
def test_what_is_not_ours_is_refused(content: dict[str, str], model: Path, tmp_path: Path) -> None:
    out = tmp_path / "project"
    out.mkdir()
    for name, text in content.items():
        (out / name).write_text(text)
    assert _build(model, out) == ProjectError.exit_code
    assert {p.name: p.read_text() for p in out.iterdir()} == content


def test_failures_leave_nothing_behind(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "project"
    (tmp_path / "net.mat").write_text("weights")
    before = _names(tmp_path)
    broken = tmp_path / "small.tflite"
    whole = broken.read_bytes()
    assert _build(model, out, target="netduino") == ConfigError.exit_code
    broken.write_bytes(whole[: len(whole) // 2])
    assert _build(broken, out) == ModelError.exit_code
    broken.write_bytes(b"not a model")
    assert _build(broken, out) == ModelError.exit_code
    assert _build(tmp_path / "absent.tflite", out) == ModelError.exit_code
    assert _build(tmp_path / "net.mat", out) == UnsupportedError.exit_code
    assert _build(model, out, "--optimize", "nonsense") == UsageError.exit_code
    assert _names(tmp_path) == before


def test_a_missing_compiler_is_named(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr("edgepack.toolchain.zig.find_zig", lambda: None)
    assert _build(model, tmp_path / "project", target="netduinoplus2") == MissingToolError.exit_code
    printed = capsys.readouterr().err
    assert "gcc-arm-none-eabi" in printed and "edgepack[zig]" in printed
    assert "next: " in printed
    assert _names(tmp_path) == {"small.tflite"}


def test_nothing_is_compiled_twice(model: Path, tmp_path: Path) -> None:
    cache, out = Cache(tmp_path / "cache"), tmp_path / "project"
    request = BuildRequest(model, "host")
    assert not build_cached(request, out, cache, silent).reused
    (out / "run.json").write_text("a report of an earlier run")
    assert build_cached(request, out, cache, silent).reused
    assert "run.json" in _names(out)
    (out / "bench_model.c").write_text("edited")
    assert build_cached(request, out, cache, silent).reused
    assert (out / "bench_model.c").read_text() != "edited"
    assert not build_cached(BuildRequest(model, "host", optimize="size"), out, cache, silent).reused


@pytest.mark.needs_data
@pytest.mark.emulator
def test_kws_takes_little_time_and_memory(real_data: Path, tmp_path: Path) -> None:
    model = real_data / "mlperf_tiny" / "kws_int8.tflite"
    argv = ["build", str(model), "-t", "netduinoplus2", "-o", str(tmp_path / "project")]
    # a process of its own, whose only child is the build: its children's peak is the build's
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'edgepack', *sys.argv[1:]], check=True, "
        "capture_output=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *argv],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    seconds, kilobytes = map(float, done.stdout.split())
    assert seconds < KWS_SECONDS
    assert kilobytes * 1024 < KWS_BYTES
