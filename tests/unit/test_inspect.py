"""`edgepack inspect` and `edgepack targets`: figures that are counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepack import cli
from edgepack.errors import ConfigError, ModelError, UnsupportedError
from edgepack.inspection import Room, inspect_tflite
from edgepack.targets import load_targets, target_names
from tests.small_models import small_cnn

# of tests/small_models.py: 6x6 outputs of 5 filters of 3x3x1, then 180 inputs to 4 outputs
MACS = 6 * 6 * 5 * 3 * 3 + 180 * 4
WEIGHTS = 5 * 3 * 3 + 5 + 4 * 180 + 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_cnn())
    return path


def test_what_is_in_a_model(model: Path) -> None:
    report = inspect_tflite(model)
    assert [layer.op for layer in report.layers] == [
        "CONV_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    assert report.macs == MACS
    assert report.weights == WEIGHTS
    assert report.inputs[0].shape == (1, 6, 6, 1)
    assert report.outputs[0].zero_point == -128
    assert not report.problems
    # 45 + 720 weight bytes and 9 biases of 4 bytes are the least that has to be stored
    assert report.weight_bytes is not None
    assert report.weight_bytes >= 45 + 720 + 9 * 4
    # the convolution's input and output live at the same time, unless they share memory
    assert report.arena_bytes is not None
    assert 180 <= report.arena_bytes <= 1024


def test_where_it_fits(model: Path) -> None:
    report = inspect_tflite(model)
    assert report.weight_bytes is not None and report.arena_bytes is not None
    flash, ram = report.weight_bytes, report.arena_bytes
    rooms = [
        Room("exact", flash, ram + 512, 512),
        Room("flash", flash - 1, ram + 512, 512),
        Room("ram", flash, ram + 511, 512),
    ]
    fits = inspect_tflite(model, rooms).fits
    assert [(f.possible, f.flash_left, f.ram_left) for f in fits] == [
        (True, 0, 0),
        (False, -1, 0),
        (False, 0, -1),
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command(model: Path, as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", str(model), *(["--json"] if as_json else [])]) == 0
    printed = capsys.readouterr().out
    if as_json:
        document = json.loads(printed)
        assert document["macs"] == MACS
        assert {fit["target"] for fit in document["fits"]} == {
            target.id for target in load_targets() if target.layout is not None
        }
        assert all(fit["possible"] for fit in document["fits"])
    else:
        assert "FULLY_CONNECTED" in printed
        assert f"{MACS:,} MACs" in printed


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("absent.tflite", None, ModelError),
        ("short.tflite", small_cnn()[:200], ModelError),
        ("text.tflite", b"hello", ModelError),
        ("net.caffemodel", b"hello", UnsupportedError),
    ],
)
def test_what_is_no_model(
    name: str, content: bytes | None, error: type[ModelError], tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert cli.run(["inspect", str(tmp_path / name)]) == error.exit_code


def test_targets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["targets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    boards = [target["id"] for target in listed if target["kind"] != "app"]
    assert sorted(boards) == sorted(target_names())
    assert cli.run(["targets"]) == 0
    assert all(name in capsys.readouterr().out for name in ("host",))


@pytest.mark.parametrize("name", target_names())
def test_a_target_is_shown_with_its_sources(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["targets", name]) == 0
    printed = capsys.readouterr().out
    assert name in printed
    assert "source:" in printed
    assert cli.run(["targets", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["board"]["id"] == name


def test_an_unknown_target_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["targets", "netduinoplus"]) == ConfigError.exit_code
    assert "did you mean netduinoplus2" in capsys.readouterr().err
