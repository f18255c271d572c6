"""`edgepack run`: a configuration to reports, what is cached, and what becomes of failures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgepack import cli
from edgepack.cache import Cache
from edgepack.config import load_config
from edgepack.errors import BuildError, ConfigError, DataError, MissingToolError, ModelError
from edgepack.models.progress import silent
from edgepack.pipeline import model as model_half
from edgepack.pipeline.devices import attached_devices
from edgepack.pipeline.run import run_config
from tests.small_models import small_cnn

TFLITE = '[model]\nsource = "small.tflite"\n[build]\ntarget = "host"\n[bench]\nsamples = 3\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.tflite").write_bytes(small_cnn())
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, (12, 6, 6, 1)).astype(np.int8)
    y = np.arange(12) % 4
    np.savez(tmp_path / "data.npz", x_train=x[:6], y_train=y[:6], x_test=x[6:], y_test=y[6:])
    np.savez(tmp_path / "bench.npz", x=x, y=y)
    return tmp_path


def _write(folder: Path, text: str) -> Path:
    path = folder / "edgepack.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.needs_oracle
def test_a_tflite_model_runs_on_the_host(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(folder, TFLITE + 'data = "bench.npz"\n')
    assert cli.run(["run", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (target,) = document["targets"]
    report = json.loads((folder / "build" / "host" / "run.json").read_text())
    assert target["run"] == report
    assert report["parity"]["samples"] == 3
    assert report["parity"]["mismatched_bytes"] == 0
    assert report["accuracy"]["n"] == 3
    assert report["device"]["latency_us"]["n"] == 3


@pytest.mark.needs_oracle
def test_the_table_names_artefacts_and_the_next_commands(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["run", str(_write(folder, TFLITE))]) == 0
    printed = capsys.readouterr().out
    after = printed.split("Artefacts:", 1)[1]
    assert "host" in after
    assert after.split("Next:", 1)[1].count("edgepack ") == 2


def test_the_test_split_is_what_is_run(folder: Path) -> None:
    config = load_config(_write(folder, TFLITE + '[data]\nsource = "data.npz"\n'))
    prepared = model_half.prepare_model(config, _cache(folder), silent)
    assert prepared.samples is not None
    with np.load(folder / "data.npz") as data, np.load(prepared.samples) as used:
        np.testing.assert_array_equal(used["x"], data["x_test"])
        np.testing.assert_array_equal(used["y"], data["y_test"])


def _cache(folder: Path) -> Cache:
    return Cache(folder / ".edgepack-cache")


def test_a_target_that_fails_does_not_stop_the_others(folder: Path) -> None:
    out = folder / "build" / "netduinoplus2"
    out.mkdir(parents=True)
    (out / "letter").write_text("dear")  # no project of ours: this target must be refused
    text = TFLITE.replace('target = "host"', 'targets = ["netduinoplus2", "host"]')
    done = run_config(load_config(_write(folder, text)), only=["netduinoplus2", "host"])
    first, second = done.targets
    assert first.error is not None and first.report is None
    assert second.error is None and second.report is not None
    assert done.error is first.error
    assert (out / "letter").read_text() == "dear"


def test_an_old_report_is_not_shown_for_a_new_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(_write(folder, TFLITE))
    assert run_config(config).targets[0].report is not None

    def refuse(*_: object, **__: object) -> None:
        raise BuildError("no")

    monkeypatch.setattr("edgepack.pipeline.run.build_cached", refuse)
    (run,) = run_config(config).targets
    assert run.report is None
    assert isinstance(run.error, BuildError)


@pytest.mark.parametrize(
    ("text", "arguments", "error"),
    [
        (TFLITE.replace("host", "hots"), [], ConfigError),
        (TFLITE.replace("small.tflite", "absent.tflite"), [], ConfigError),
        (TFLITE.replace("small.tflite", "broken.tflite"), [], ModelError),
        (TFLITE + 'data = "absent.npz"\n', [], ConfigError),
        (TFLITE + 'data = "small.tflite"\n', [], DataError),
        (TFLITE, ["--target", "netduinoplus2"], ConfigError),
        ("nonsense", [], ConfigError),
    ],
)
def test_mistakes(
    text: str,
    arguments: list[str],
    error: type[ConfigError],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "broken.tflite").write_bytes(small_cnn()[:500])
    assert cli.run(["run", str(_write(folder, text)), *arguments]) == error.exit_code
    assert "error: " in capsys.readouterr().err
    assert not (folder / "build" / "host" / "run.json").exists()


def test_without_tensorflow_the_fallback_is_used_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model_half, "has_package", lambda name: name != "tensorflow")
    text = TFLITE.replace("small.tflite", "train:build") + "[quantize]\n"
    text += '[data]\nsource = "data.npz"\n'
    fallback = text.replace("[build]", 'fallback = "small.tflite"\n[build]')
    assert cli.run(["run", str(_write(folder, fallback))]) == 0
    assert "nothing was trained" in capsys.readouterr().out
    monkeypatch.setattr("edgepack.models.isolate.has_package", lambda name: False)
    assert cli.run(["run", str(_write(folder, text))]) == MissingToolError.exit_code
    assert "edgepack[tf]" in capsys.readouterr().err


class _Port:
    description: str | None = "ST-Link"
    vid: int | None = 0x0483
    pid: int | None = 0xFFFF  # of no board
    serial_number: str | None = "42"

    def __init__(self, device: str) -> None:
        self.device = device


def test_unknown_ports_are_listed_without_a_board() -> None:
    (found,) = attached_devices([_Port("/dev/ttyACM0")])
    assert (found.port, found.usb, found.boards) == ("/dev/ttyACM0", "0483:ffff", ())


def test_devices_of_this_computer(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["devices", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
    assert cli.run(["devices"]) == 0
