"""`edgepack compress --sweep`: what it refuses, what it states, and the point that is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack import cli
from edgepack.bench.oracle import Oracle
from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import UsageError
from edgepack.manifest import read_manifest
from edgepack.models.dataset import read_dataset
from edgepack.models.tflite_file import load_tflite
from edgepack.pipeline import sweep_point
from edgepack.pipeline.sweep_result import quality, taken
from edgepack.report import front_chart

ONE = "--method prune_structured:ratio=0.5"
GRID = "prune_structured:ratio=0.3|0.6,finetune.epochs=2"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (f"--method {GRID} -o s.keras", "several values to try"),
        (f"--method {GRID} --sweep -o s", "a target whose emulator counts"),
        ("--method low_rank:ratio=0.5 --sweep -t netduinoplus2 -o s", "no key"),
        ("--method prune_structured:ratio=2|3 --sweep -t netduinoplus2 -o s", "ratio = 2"),
        (f"--method {GRID} --sweep -t nano33ble -o s", "no emulated"),
        (f"--method {GRID} --sweep -t netduinoplus2 -o s --scheme int9", "int9"),
        (f"--method {GRID} --validation 0.2 -o s.keras", "--validation is of a sweep"),
        (f"{ONE} --scheme int8 -o s.keras", "--target NAME beside it"),
        (f"{ONE} -t netduinoplus2 --optimize size|ram -o s.keras", "make a sweep"),
        (f"{ONE} -t nano33ble -o s.keras", "no emulated"),
        ("--point 1 -t netduinoplus2 -o s.keras", "no --target beside it"),
        ("--point 1 --scheme int8 -o s.keras", "no --scheme beside it"),
        ("--point 1 -o s.keras", "is no folder"),
        ("--point 1 --sweep -o s", "takes one of a finished sweep"),
        (f"--method {GRID} --build fw -o s.keras", "--point N"),
        ("--recipe a.toml --recipe b.toml -o s.keras", "several with --sweep"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    arguments: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", x=np.zeros((3, 2), np.float32), y=np.zeros(3, np.int64))
    Path("net.keras").write_bytes(b"no model is needed to refuse")
    data = [] if "--point" in arguments else ["--data", "d.npz"]
    assert cli.run(["compress", "net.keras", *data, *arguments.split()]) in (2, 3)
    assert said in capsys.readouterr().err


def row(number: int, value: float, flash: int, **more: Any) -> dict[str, Any]:
    score = {"metric": "top1", "value": value, "n": 100}
    costs = {"flash": flash, "ram": 100 * number, "instructions": 5000.0}
    return {"number": number, "steps": [number], "held_out": score, **costs, **more}


def test_the_front_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    document = {
        "model": "net.keras",
        "target": "netduinoplus2",
        "points": [row(0, 0.9, 9000), row(1, 0.8, 8000), {"number": 2, "error": "too large"}],
        "front": {"flash": [1, 0], "ram": [0], "instructions": [0], "all": [1, 0]},
    }
    paths = front_chart.draw(document, tmp_path)
    assert [path.name for path in paths] == ["front.png", "front.svg"]
    first = [path.read_bytes() for path in paths]
    assert first[0].startswith(b"\x89PNG") and b"on the front" in first[1]
    assert [path.read_bytes() for path in front_chart.draw(document, tmp_path)] == first
    assert front_chart.draw({**document, "points": []}, tmp_path) == ()


def test_a_point_must_have_been_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        taken(tmp_path, 1)
    rows = [row(0, 0.9, 9000), {"number": 1, "error": "too large"}]
    (tmp_path / "sweep.json").write_text(json.dumps({"points": rows, "data": {}}))
    with pytest.raises(UsageError, match="too large"):
        taken(tmp_path, 1)
    with pytest.raises(UsageError, match="none of that number"):
        taken(tmp_path, 7)


def test_less_error_is_better() -> None:
    assert quality({"metric": "mse", "value": 0.1}) > quality({"metric": "mse", "value": 0.2})
    assert quality({"metric": "top1", "value": 0.2}) > quality({"metric": "top1", "value": 0.1})


def blobs(folder: Path) -> None:
    """Three classes that a linear layer tells apart, and an untrained network for them."""
    from tests.compress import networks

    generator = np.random.default_rng(0)
    x = generator.normal(size=(600, 4, 5)).astype(np.float32)
    y = (x.reshape(600, -1) @ generator.normal(size=(20, 3))).argmax(axis=1)
    np.savez(folder / "data.npz", x=x, y=y)
    networks.lenet_300().save(folder / "net.keras")


@pytest.mark.slow
@pytest.mark.needs_tf
@pytest.mark.needs_oracle
@pytest.mark.emulator
@pytest.mark.timeout(1200)  # a minute alone; two cores that others share take far longer
def test_what_is_built_is_what_the_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Accuracy, flash, RAM and instructions of a point, each found again another way."""
    monkeypatch.chdir(tmp_path)
    # points are found again as long as edgepack's code is the same; it may be edited meanwhile
    monkeypatch.setattr(sweep_point, "code_digest", lambda *parts: "this code")
    blobs(tmp_path)
    command = ["compress", "net.keras", "--data", "data.npz", "--sweep", "-t", "netduinoplus2"]
    command += ["-o", "swept", "--method", "prune_structured:ratio=0.5|0.95,finetune.epochs=3"]
    assert cli.run([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    original, point, failed = document["points"]
    assert "cannot go" in failed["error"] and original["steps"] == []
    assert point["mismatched_bytes"] == 0
    assert point["instructions"] < original["instructions"]
    assert point["flash"] < original["flash"]
    assert (tmp_path / "swept" / "front.svg").is_file()

    take = ["compress", "swept", "--point", "1", "-o", "small.keras", "--build", "fw", "--json"]
    assert cli.run(take) == 0
    chosen = json.loads(capsys.readouterr().out)
    files = document["data"]
    for split, score in (("choose", point["held_out"]), ("final", chosen["test"])):
        assert _accuracy(Path("small.tflite"), Path(files[split])) == pytest.approx(score["value"])
    # nothing that a step trained on is among what decides
    whole, held = read_dataset(Path(files["final"])), read_dataset(Path(files["choose"]))
    assert len(whole.train) == len(held.train) == 432 and len(held.test) == 48
    seen = {sample.tobytes() for sample in held.train.inputs[0]}
    assert not seen & {sample.tobytes() for sample in (*held.test.inputs[0], *whole.test.inputs[0])}

    report = bench(BenchRequest(Path("fw"), samples=3, host=False))
    assert report.device.instructions is not None
    assert report.device.instructions.median == point["instructions"]
    sizes = read_manifest(Path("fw")).sizes
    # the sweep's images speak frames only; the project that is built speaks MLPerf Tiny's text too
    assert sizes is not None and sizes.flash_total > point["flash"]

    before = {path: path.stat().st_mtime_ns for path in Path("swept").rglob("*.tflite")}
    assert cli.run([*command, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [p.get("flash") for p in again["points"]] == [p.get("flash") for p in document["points"]]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def _accuracy(model: Path, data: Path) -> float:
    """Top-1 on the test split by the oracle's kernels, quantizing the inputs here."""
    test = read_dataset(data).test
    assert test.labels is not None
    taken_in = load_tflite(model).inputs[0]
    assert taken_in.scale is not None and taken_in.zero_point is not None
    stored = np.round(test.inputs[0] / np.float32(taken_in.scale)) + taken_in.zero_point
    stored = np.clip(stored, -128, 127).astype(np.int8)
    with Oracle(model.read_bytes()) as oracle:
        (output,) = oracle.run([stored[:, None]])
    return float((output.reshape(len(test), -1).argmax(axis=1) == test.labels).mean())
