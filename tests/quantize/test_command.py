"""`edgepack quantize` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from edgepack.cli import run
from edgepack.commands import quantize as command
from edgepack.models.tflite_file import load_tflite
from edgepack.quantize import recipe
from edgepack.quantize.ranges import METHODS
from edgepack.types import DType
from tests.quantize.samples import FOLDER, TRAIN
from tests.tflite_builder import ModelBuilder, spec


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with np.load(FOLDER / "digits.npz") as arrays:
        x, y = arrays["x"].astype(np.float32)[..., None] / 16, arrays["y"]
    path = tmp_path / "digits.npz"
    np.savez(path, x_train=x[:TRAIN], y_train=y[:TRAIN], x_test=x[TRAIN:], y_test=y[TRAIN:])
    return path


MOBILE = str(FOLDER / "mobile.tflite")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["quantize", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_help_names_what_the_settings_allow() -> None:
    assert {s.value for s in command.Scheme} == set(get_args(recipe.Scheme))
    assert {s.value for s in command.Io} == set(get_args(recipe.Io))
    assert tuple(s.value for s in command.Calibration) == METHODS


def test_a_model_is_quantized_measured_and_reported(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "m.tflite", tmp_path / "r.json"
    code, document = call(
        capsys, MOBILE, "--data", str(data), "--equalize", "--bias-correction", "-o", str(out),
        "--report", str(report), "--target", "nucleo-l4r5zi",
    )  # fmt: skip
    assert code == 0
    assert load_tflite(out).is_full_integer
    figures = document["evaluation"]
    assert figures["float"]["n"] == 500
    assert abs(figures["float"]["value"] - figures["quantized"]["value"]) <= 0.01
    low, high = figures["quantized"]["interval95"]
    assert low < figures["quantized"]["value"] < high
    assert document["target"]["arena_bytes"] > 0
    assert {entry["scheme"] for entry in document["operators"]} == {"int8"}
    assert json.loads(report.read_text())["evaluation"] == figures
    assert any("may be chance" in line for line in document["warnings"])


def test_recipes_are_read_and_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, saved = tmp_path / "rules.json", tmp_path / "saved.json"
    rules.write_text(json.dumps([{"op": "SOFTMAX", "scheme": "float"}]))
    common = ["--data", str(data), "--evaluate", "0:50", "-o"]
    first, second = tmp_path / "1.tflite", tmp_path / "2.tflite"
    code, document = call(
        capsys, MOBILE, *common, str(first), "--recipe", str(rules), "--save-recipe", str(saved),
        "--io", "float32",
    )  # fmt: skip
    assert code == 0
    assert document["operators"][-1]["scheme"] == "float"
    assert call(capsys, MOBILE, *common, str(second), "--recipe", str(saved), "--io", "float32")
    assert first.read_bytes() == second.read_bytes()


def dense_network(path: Path) -> Path:
    """8 x 8 pixels to 10 scores through 2,048 weights: enough for `dynamic` to store smaller."""
    rng = np.random.default_rng(0)
    model = ModelBuilder()
    x = model.input("x", (1, 8, 8, 1), "FLOAT32")
    flat = model.const(np.array([1, 64], np.int32), "INT32")
    y = model.op("RESHAPE", [x, flat], [spec((1, 64), "FLOAT32")])[0]
    for size, inputs in ((32, 64), (10, 32)):
        weights = model.const(rng.normal(size=(size, inputs)).astype(np.float32), "FLOAT32")
        y = model.op("FULLY_CONNECTED", [y, weights, None], [spec((1, size), "FLOAT32")], {})[0]
    model.output(y)
    path.write_bytes(model.build())
    return path


@pytest.mark.parametrize("scheme", ["dynamic", "float16"])
def test_schemes_for_phones(
    scheme: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model = tmp_path / "m.tflite", dense_network(tmp_path / "dense.tflite")
    arguments = (str(model), "--data", str(data), "--evaluate", "0:100", "--scheme", scheme)
    code, document = call(capsys, *arguments, "-o", str(out))
    assert code == 0
    assert load_tflite(out).inputs[0].dtype is DType.FLOAT32
    assert document["bytes"]["quantized"] < document["bytes"]["float"]
    assert document["evaluation"]["outputs"][0]["sqnr_db"] > 20
    code, document = call(capsys, *arguments, "-o", str(out), "--equalize")
    assert code == 2 and "--equalize" in document["message"]


def test_functions_give_data_and_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def data(seed):\n"
        "    x = np.random.default_rng(seed).random((90, 8, 8, 1)).astype(np.float32)\n"
        "    return {'x_train': x[:60], 'x_test': x[60:], 'y_train': np.zeros(60, int),\n"
        "            'y_test': np.zeros(30, int)}\n"
        "def judge(outputs, labels):\n"
        "    return outputs.sum() / len(labels)\n"
    )
    out = str(tmp_path / "m.tflite")
    arguments = (MOBILE, "--data", "mine:data", "--metric", "mine:judge", "-o", out, "--equalize")
    code, document = call(capsys, *arguments)
    assert code == 0
    figures = document["evaluation"]["float_user"]
    assert figures["metric"] == "mine.py:judge"
    assert figures["value"] == pytest.approx(1.0, abs=1e-3)  # a softmax adds up to 1


@pytest.mark.parametrize(
    ("extra", "kind", "part"),
    [
        (["--pin", "nonsense"], "usage_error", "nonsense"),
        (["--pin", "absent:0:1"], "config_error", "no tensor 'absent'"),
        (["--input-scale", "x"], "usage_error", "--input-scale"),
        (["--evaluate", "abc"], "usage_error", "--evaluate"),
        (["--evaluate", "9000:"], "data_error", "500 samples"),
        (["--recipe", "absent.json"], "config_error", "absent.json"),
        (["--calibration-samples", "0"], "usage_error", "--calibration-samples"),
        (["--target", "nothing"], "config_error", "nothing"),
    ],
)
def test_mistakes(
    extra: list[str],
    kind: str,
    part: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "m.tflite"
    arguments = (MOBILE, "--data", str(data), "--calibration-samples", "60", "-o", str(out), *extra)
    code, document = call(capsys, *arguments)
    assert code != 0 and document["error"] == kind
    assert part in document["message"]
    assert not out.exists()


def test_an_integer_model_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], checkout: Path
) -> None:
    model = checkout / "examples" / "digits" / "digits_int8.tflite"
    code, document = call(capsys, str(model), "--data", str(data), "-o", str(tmp_path / "m.tflite"))
    assert code == 5 and "quantized already" in document["message"]
