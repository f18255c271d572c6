"""Modules for apps: what lies in them, that their sources parse, and what is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.bench.golden import run_golden
from edgepack.emit.app_table import EMITTERS
from edgepack.errors import DataError, EdgepackError, ProjectError, UsageError
from edgepack.pipeline.app_inputs import ImageChoice
from edgepack.pipeline.apps import RECORD_NAME, AppRequest, AppResult, build_app
from edgepack.targets import app_names
from tests.phone_assets import models
from tests.phone_assets.grammar import problems, sources
from tests.phone_assets.style import complaints
from tests.small_models import small_cnn

KINDS = sorted(EMITTERS)


def test_every_kind_of_app_has_a_record_and_an_emitter() -> None:
    assert tuple(KINDS) == app_names()


def build(folder: Path, kind: str, model: bytes, **options: Any) -> AppResult:
    path = folder / "model.tflite"
    path.write_bytes(model)
    if "labels" in options:
        labels = folder / "labels.txt"
        labels.write_bytes(options["labels"])
        options["labels"] = labels
    return build_app(AppRequest(path, kind, **options), folder / kind)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_become_harmless_sources(kind: str, tmp_path: Path) -> None:
    words = dict.fromkeys(("name", "description", "author", "license"), models.HOSTILE)
    result = build(tmp_path, kind, models.hostile(), **words)
    fields = [t.field for t in (*result.app.inputs, *result.app.outputs)]
    assert fields[:2] == ["classValue", "classValue2"]
    assert len(fields) == 14 and fields[3:7] == ["runValue", "inputSpecs", "input", "itValue"]
    found = sources(tmp_path / kind)
    assert len(found) >= 5
    for path in found:
        data = path.read_bytes()
        assert data.isascii(), path
        assert problems(data, path.suffix) == [], path
        assert complaints(data, path.suffix) == [], path


@pytest.mark.parametrize(
    ("suffix", "before", "after", "complaint"),
    [
        (".kt", "fun run(", "fun Run(", "Run is not lowerCamelCase"),
        (".kt", "import java.io.IOException", "import java.io.IOError", "import IOError is used"),
        (".kt", "    override fun close()", "    private fun spare() {}\n    override fun close()",
         "spare is used nowhere"),
        (".swift", "struct Outputs", "struct outputs", "outputs is not UpperCamelCase"),
        (".swift", "let raw = try", "let spare = 1\n    let raw = try", "spare is used nowhere"),
        (".dart", "final Uint8List _model;", "final Uint8List _model, _spare;",
         "_spare is used nowhere"),
        (".dart", "Outputs run(", "Outputs Run(", "Run is not lowerCamelCase"),
        (".dart", "int k = 5}", "int k = 5, }", "blanks around brackets"),
    ],
)  # fmt: skip
def test_the_lint_finds_what_is_planted(
    suffix: str, before: str, after: str, complaint: str, tmp_path: Path
) -> None:
    kind = {".kt": "android", ".swift": "ios", ".dart": "flutter"}[suffix]
    build(tmp_path, kind, models.float_classifier())
    path = next(p for p in sources(tmp_path / kind) if before in p.read_text())
    source = path.read_text()
    assert complaints(source.encode(), suffix) == []
    found = complaints(source.replace(before, after, 1).encode(), suffix)
    assert any(complaint in text for text in found), found


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_with_labels(kind: str, tmp_path: Path) -> None:
    text = "\ufeff" + "\r\n".join(models.HOSTILE_LABELS) + "\r\n"
    result = build(tmp_path, kind, small_cnn(), name="Gestures 2", labels=text.encode())
    assert result.app.class_name == "Gestures2Model"
    assert result.app.labels == models.HOSTILE_LABELS
    files = tree(tmp_path / kind)
    again = tmp_path / "again"
    again.mkdir()
    build(again, kind, small_cnn(), name="Gestures 2", labels=text.encode())
    assert tree(again / kind) == files  # the same input gives the same bytes
    plain = b"".join(d for n, d in files.items() if not n.endswith((".bin", ".tflite")))
    assert str(tmp_path).encode() not in plain
    (labels,) = [data for name, data in files.items() if name.endswith("labels.txt")]
    assert labels.decode() == "".join(f"{label}\n" for label in models.HOSTILE_LABELS)
    (model,) = [data for name, data in files.items() if name.endswith("model.tflite")]
    record = json.loads(files.pop(RECORD_NAME))
    assert record["files"] == {n: hashlib.sha256(d).hexdigest() for n, d in files.items()}
    assert hashlib.sha256(model).hexdigest() == result.app.sha256
    for path in sources(tmp_path / kind):
        assert problems(path.read_bytes(), path.suffix) == [], path


def test_a_picture_is_recognised_by_its_range_and_becomes_the_golden_input(tmp_path: Path) -> None:
    result = build(tmp_path, "android", models.picture_classifier())
    (image,) = result.app.inputs
    assert image.image is not None
    assert (image.image.mean, image.image.std) == ((127.5,) * 3, (127.5,) * 3)
    for golden in result.app.goldens:
        assert golden.pixels is not None
        pixels = np.frombuffer(golden.pixels, np.uint8).reshape(6, 5, 4)[..., :3].astype(float)
        stored = np.frombuffer(golden.inputs[0], np.int8).reshape(6, 5, 3)
        # a step is one grey level, and every pixel lies between two: a tie that the rounding of
        # the quotient decides
        assert np.abs(stored - (pixels - 127.5)).max() == 0.5


def test_golden_vectors_tell_another_model(tmp_path: Path) -> None:
    app = build(tmp_path, "ios", models.float_classifier()).app
    inputs = [np.stack([np.frombuffer(g.inputs[0], "<f4").reshape(1, 48) for g in app.goldens])]
    golden = np.stack([np.frombuffer(g.outputs[0], "<f4") for g in app.goldens])
    same = run_golden(models.float_classifier(), inputs, keep=3, hybrid=False)
    assert np.abs(same.outputs[0].reshape(3, 4) - golden).max() <= app.outputs[0].tolerance
    other = run_golden(models.float_classifier(seed=4), inputs, keep=3, hybrid=False)
    assert np.abs(other.outputs[0].reshape(3, 4) - golden).max() > 100 * app.outputs[0].tolerance


def test_a_table_of_forms_with_sizes_and_accuracy(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((200, 48)).astype(np.float32)
    inputs = [x.reshape(200, 1, 48)]
    scores = run_golden(models.float_classifier(), inputs, keep=200, hybrid=False).outputs[0]
    data = tmp_path / "data.npz"
    np.savez(data, x=x, y=scores.reshape(200, 4).argmax(axis=1))
    result = build(tmp_path, "flutter", models.float_classifier(), optimize="int8", data=str(data))
    rows = {v.form: v for v in result.variants}
    assert list(rows) == ["as-is", "fp16", "dynamic", "int8"]
    sizes = {form: len(v.data or b"") for form, v in rows.items()}
    assert sizes["as-is"] > sizes["fp16"] > sizes["dynamic"] > 0
    accuracy = {form: v.metric.value for form, v in rows.items() if v.metric is not None}
    assert accuracy["as-is"] == 1.0  # the labels are its own
    assert min(accuracy[form] for form in ("fp16", "dynamic", "int8")) > 0.9
    assert all(v.latency_us is not None and v.latency_us.median > 0 for v in result.variants)
    assert result.app.inputs[0].quantized and result.app.outputs[0].quantized


INT8 = models.picture_classifier()
FLOAT = models.float_classifier()


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (INT8, {"optimize": "fp16"}, UsageError, "computes with integers already"),
        (FLOAT, {"optimize": "int8"}, UsageError, "--data"),
        (FLOAT, {"labels": b"a\nb\nc\n"}, DataError, "3 labels for the 4 scores"),
        (FLOAT, {"labels": b"a\n\nb\nc\n"}, DataError, "line 2 of .* is empty"),
        (FLOAT, {"labels": b"a\nb\tb\nc\nd\n"}, DataError, r"U\+0009"),
        (FLOAT, {"labels": "a\nb\u2028b\nc\nd\n".encode()}, DataError, r"U\+2028"),
        (FLOAT, {"labels": b"a\nb\nc\n\xff\n"}, DataError, "no UTF-8"),
        (models.hostile(), {"labels": b"a\n", "optimize": "as-is"}, DataError, "1 labels"),
        (FLOAT, {"package": "com.class"}, UsageError, "no name of a Kotlin package"),
        (FLOAT, {"image": ImageChoice("image")}, UsageError, "no input can be a picture"),
        (INT8, {"image": ImageChoice(mean=(1.0, 2.0))}, UsageError, "has 2 values"),
        (INT8, {"image": ImageChoice(std=(0.0,))}, UsageError, "divides by it"),
        (INT8, {"image": ImageChoice("tensor", mean=(1.0,))}, UsageError, "has none"),
        (FLOAT, {"description": "x" * 3000}, UsageError, "3000 characters"),
        (FLOAT, {"data": "nowhere.npz"}, DataError, "nowhere.npz"),
    ],
)
def test_what_is_refused_leaves_nothing(
    model: bytes,
    options: dict[str, Any],
    error: type[EdgepackError],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        build(tmp_path, "android", model, **options)
    assert not (tmp_path / "android").exists()


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "ios").mkdir()
    (tmp_path / "ios" / "thesis.txt").write_text("mine")
    with pytest.raises(ProjectError, match="did not write"):
        build(tmp_path, "ios", FLOAT)
    assert (tmp_path / "ios" / "thesis.txt").read_text() == "mine"


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "edgepack", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


@pytest.mark.slow  # seven processes
def test_the_command_builds_replaces_and_says_which_options_belong(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(INT8)
    out = tmp_path / "out"
    done = command("--json", "build", model, "-t", "android", "-o", out)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["class"] == "MModel" and document["variants"][0]["bytes"] == len(INT8)
    done = command("build", model, "-t", "flutter", "-o", out, "--mean", "0", "--std", "255")
    assert done.returncode == 0, done.stderr
    assert (out / "pubspec.yaml").is_file() and not (out / "settings.gradle.kts").exists()
    for arguments, message in (
        (("-t", "android", "--optimize", "speed"), "goes with boards"),
        (("-t", "android", "--runtime", "tflm"), "--runtime goes with boards"),
        (("-t", "host", "--labels", "x.txt"), "--labels goes with apps"),
        (("-t", "host", "--optimize", "fp16"), "--optimize fp16 goes with apps"),
        (("-t", "ios", "--mean", "a"), "is no number"),
    ):
        done = command("build", model, "-o", tmp_path / "none", *arguments)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not (tmp_path / "none").exists()
