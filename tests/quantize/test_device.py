"""The third column: the quantized model on a device, and the report as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.cli import run
from edgepack.models.dataset import Samples
from edgepack.quantize.int8 import float_accuracy, write_samples
from tests.quantize.samples import FOLDER
from tests.quantize.small_float import write_digits

MOBILE = str(FOLDER / "mobile.tflite")
TRAIN, TEST, ON_DEVICE = 300, 120, 40


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_digits(tmp_path / "digits.npz", TRAIN, TEST)
    return tmp_path / "digits.npz"


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["quantize", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("target", "kind"),
    [("host", "host"), pytest.param("mps2-an386", "emulated", marks=pytest.mark.emulator)],
)
def test_float_host_and_device_stand_side_by_side(
    target: str, kind: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = call(
        capsys, MOBILE, "--data", str(data), "--equalize", "--device", target,
        "--device-samples", str(ON_DEVICE), "-o", str(tmp_path / "m.tflite"),
        "--report", str(tmp_path / "m.html"),
    )  # fmt: skip
    assert code == 0, document
    device = document["evaluation"]["device"]
    assert (device["kind"], device["samples"], device["of"]) == (kind, ON_DEVICE, TEST)
    columns = [device[name] for name in ("float", "quantized", "device")]
    assert [column["n"] for column in columns] == [ON_DEVICE] * 3
    assert all(abs(c["value"] - columns[0]["value"]) <= 2.5 / ON_DEVICE for c in columns)
    low, high = columns[2]["interval95"]
    assert low < columns[2]["value"] <= high
    assert device["oracle"]["mismatched_bytes"] == 0
    assert device["oracle"]["bytes"] == device["host"]["bytes"] == 10 * ON_DEVICE
    assert device["host"]["max_abs_diff"] <= 2  # LiteRT rounds otherwise here and there
    assert any("samples on the device" in text for text in document["warnings"])
    page = (tmp_path / "m.html").read_text()
    assert f"quantized, {target}" in page and "<h2>Classes</h2>" in page


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--port", "/dev/null"), "--port"),
        (("--device-samples", "3"), "--device-samples"),
        (("--device", "nucleo-l4r5zi"), "real board"),
        (("--device", "no-such-board"), "no-such-board"),
    ],
)
def test_devices_that_cannot_be_evaluated_on_are_refused_first(
    options: tuple[str, ...], part: str, data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "m.tflite"
    code, document = call(capsys, MOBILE, "--data", str(data), "-o", str(out), *options)
    assert code != 0 and part in document["message"]
    assert not out.exists()


def test_the_float_models_accuracy_is_kept_with_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    labels = np.array([0, 1, 2, 1])
    scores = np.eye(3)[[0, 1, 2, 0]]
    samples = Samples((np.zeros((4, 2), np.int8),), labels)
    write_samples(path, samples, [scores])
    found = [float_accuracy(path, count) for count in (2, 4)]
    assert [metric and metric.value for metric in found] == [1.0, 0.75]
    write_samples(path, samples)
    assert float_accuracy(path, 4) is None
