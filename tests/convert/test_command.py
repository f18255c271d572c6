"""`edgepack convert`: what it prints, what it writes, what it keeps for the next time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgepack.cli import run
from edgepack.commands import convert as command
from edgepack.convert import base
from edgepack.convert.outputs import OUTPUTS
from edgepack.convert.shapes import fixed_shape, parse_input_shape
from edgepack.errors import UnsupportedError, UsageError
from tests.tflite_builder import ModelBuilder, spec


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A float dense layer with 1,200 weights, and a RELU that can be fused."""
    generator = np.random.default_rng(0)
    m = ModelBuilder()
    x = m.input("x", (1, 40), "FLOAT32")
    w = m.const(generator.normal(size=(30, 40)).astype(np.float32), "FLOAT32")
    b = m.const(generator.normal(size=30).astype(np.float32), "FLOAT32")
    options = {"fused_activation_function": "NONE"}
    y = m.op("FULLY_CONNECTED", [x, w, b], [spec((1, 30), "FLOAT32")], options)[0]
    m.output(m.op("RELU", [y], [spec((1, 30), "FLOAT32")])[0])
    path = tmp_path / "net.tflite"
    path.write_bytes(m.build())
    return path


def test_a_model_is_converted_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "out.tflite", tmp_path / "report.json"
    arguments = ["convert", str(model), "-o", str(out), "--report", str(report), "--json"]
    assert run(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["reused"] is False
    assert json.loads(report.read_text()) == first["report"]
    assert first["report"]["nodes"] == {"source": 2, "converted": 2, "final": 1}
    assert [entry["name"] for entry in first["report"]["rewrites"]] == ["fuse_activation"]
    assert first["report"]["operators"] == {"FULLY_CONNECTED": 1}
    (parity,) = first["report"]["parity"]
    assert parity["inputs"] == "random" and parity["unequal"] == 0 and parity["values"] == 120
    assert {"load", "convert", "rewrite", "write", "compare"} <= set(first["report"]["seconds"])
    written = out.read_bytes()
    out.unlink()
    assert run(arguments) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["reused"] is True and second["report"] == first["report"]
    assert out.read_bytes() == written
    model.write_bytes(model.read_bytes() + b"\0")  # other content: converted again
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["reused"] is False


def test_people_read_stages_and_what_was_done(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(model), "-o", str(tmp_path / "out.tflite")]) == 0
    printed = capsys.readouterr()
    assert "compared with the source: equal on 4 random samples" in printed.out
    assert "rewritten: activations in the operator before (1x)" in printed.out
    assert "convert 0." in printed.out and "compare 0." in printed.out  # the time of each stage
    assert "load ..." in printed.err


def test_real_samples_are_compared_too(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, x=np.random.default_rng(0).normal(size=(20, 40)).astype(np.float32))
    out = str(tmp_path / "out.tflite")
    assert run(["convert", str(model), "-o", out, "--data", str(data), "--json"]) == 0
    parity = json.loads(capsys.readouterr().out)["report"]["parity"]
    assert [entry["inputs"] for entry in parity] == ["random", "real"]
    np.savez(data, x=np.zeros((20, 41), np.float32))
    assert run(["convert", str(model), "-o", out, "--data", str(data)]) == 6
    assert "has shape [41]" in capsys.readouterr().err


@pytest.mark.parametrize(("to", "share"), [("tflite-float16", 0.62), ("tflite-dynamic", 0.5)])
def test_small_weights_for_phones(
    to: str, share: float, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.tflite"
    assert run(["convert", str(model), "-o", str(out), "--to", to, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert out.stat().st_size < share * model.stat().st_size
    assert 0 < report["parity"][0]["max_relative"] < 0.05
    assert ("FLOAT16" if to.endswith("16") else "INT8") in report["result"]["dtypes"]
    assert report["warnings"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--input-shape", "x:2x40"], 2, "contradicts the model"),
        (["--input-shape", "y:1x40"], 2, "names y, the model has x"),
        (["--input-shape", "1xmany"], 2, "is no shape"),
        (["--to", "onnx-wrong"], 2, "onnx-wrong"),
    ],
)
def test_options_that_do_not_fit(
    arguments: list[str],
    code: int,
    text: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["convert", str(model), "-o", str(tmp_path / "o.tflite"), *arguments]) == code
    assert text in capsys.readouterr().err
    assert not (tmp_path / "o.tflite").exists()


def test_the_model_itself_is_not_overwritten(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(model), "-o", str(model)]) == 2
    assert "is the model itself" in capsys.readouterr().err


def test_a_tflite_needs_no_tensorflow(model: Path, tmp_path: Path) -> None:
    """Neither the command nor its child imports TensorFlow: it is not even there."""
    blocked = tmp_path / "blocked"
    for name in ("tensorflow", "keras"):
        (blocked / name).mkdir(parents=True)
        (blocked / name / "__init__.py").write_text("raise ImportError('imported for nothing')")
    done = subprocess.run(
        [sys.executable, "-m", "edgepack", "convert", str(model), "-o", str(tmp_path / "o.tflite")],
        env={**os.environ, "PYTHONPATH": str(blocked)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o.tflite").is_file()


def test_the_command_knows_what_the_package_knows() -> None:
    assert {to.value for to in command.To} == set(OUTPUTS)
    assert command._SECONDS == base.DEFAULT_SECONDS
    assert command._MEMORY_MB == base.DEFAULT_MEMORY_MB


def test_shapes() -> None:
    assert parse_input_shape("image:1x8x8x3") == ("image", (1, 8, 8, 3))
    assert parse_input_shape("a:b:1x2") == ("a:b", (1, 2))
    assert parse_input_shape("1X640") == ("", (1, 640))
    assert fixed_shape("x", (-1, 8), None) == (1, 8)
    assert fixed_shape("x", (-1, -1), (2, 5)) == (2, 5)
    with pytest.raises(UnsupportedError, match=r"open dimension: \?x\?x3") as caught:
        fixed_shape("x", (-1, -1, 3), None)
    assert caught.value.next_step == "fix it with --input-shape x:1x16x3"
    with pytest.raises(UsageError, match="contradicts"):
        fixed_shape("x", (-1, 8), (1, 9))
    for text in ("", "x:", "x:0x1", "x:-1x2"):
        with pytest.raises(UsageError):
            parse_input_shape(text)


def test_an_open_tflite_is_fixed_and_folded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SHAPE, STRIDED_SLICE and PACK compute a reshape's target; at a fixed shape none is left."""
    m = ModelBuilder()
    x = m.input("x", (1, 1, 4), "FLOAT32")
    (shape,) = m.op("SHAPE", [x], [spec((3,), "INT32")], {"out_type": "INT32"})
    bounds = [m.const(np.array([v], np.int32), "INT32") for v in (1, 2, 1)]
    slicing = {"shrink_axis_mask": 1}
    (steps,) = m.op("STRIDED_SLICE", [shape, *bounds], [spec((), "INT32")], slicing)
    two = m.const(np.array(2, np.int32), "INT32")
    parts = [steps, two, two]
    (target,) = m.op("PACK", parts, [spec((3,), "INT32")], {"axis": 0, "values_count": 3})
    (y,) = m.op("RESHAPE", [x, target], [spec((1, 2, 2), "FLOAT32")], {"new_shape": []})
    m.output(m.op("TANH", [y], [spec((1, 2, 2), "FLOAT32")])[0])
    path, out = tmp_path / "open.tflite", tmp_path / "out.tflite"
    path.write_bytes(m.build())
    arguments = ["convert", str(path), "-o", str(out), "--json"]
    assert run(arguments) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert report["operators"] == {"RESHAPE": 1, "TANH": 1}
    assert report["parity"][0]["unequal"] == 0
