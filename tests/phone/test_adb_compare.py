"""One model in several precisions on a phone: one table, one JSON file, the same samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.phone.lab import REAL, Command, Lab
from tests.phone.stand_in import write_stand_in
from tests.phone_assets.models import float_classifier

pytestmark = pytest.mark.needs_oracle


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))


def written(path: Path) -> dict[str, dict[str, Any]]:
    """The runs of a runs.json by the precision in the model's name."""
    document = json.loads(path.read_text())
    return {run["run"]["model"]["name"].rpartition("-")[2]: run for run in document["runs"]}


@pytest.fixture
def small_float(tmp_path: Path) -> tuple[Path, Path]:
    """A float classifier and 40 samples with labels."""
    model, data = tmp_path / "net.tflite", tmp_path / "data.npz"
    model.write_bytes(float_classifier())
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 48)).astype(np.float32)
    np.savez(data, x=x, y=rng.integers(0, 4, 40))
    return model, data


def test_precisions_in_one_table(
    command: Command, lab: Lab, small_float: tuple[Path, Path], tmp_path: Path
) -> None:
    phone = lab.phone(props=REAL)
    model, data = small_float
    path = tmp_path / "all.json"
    words = ("--compare", "float,int8,fp16,dynamic", "--data", data, "--json", path)
    text = command(model, "--phone", phone.address, *words)
    runs = written(path)
    assert list(runs) == ["float", "int8", "fp16"]
    sizes = [run["run"]["model"]["file_bytes"] for run in runs.values()]
    assert sizes[0] > sizes[2] > sizes[1]
    for name, run in runs.items():
        report = run["run"]
        assert report["parity"]["mismatched_bytes"] == 0, name
        assert report["accuracy"]["n"] == report["samples"]["done"] == 20  # 20 others calibrated
        assert report["device"]["latency_us"]["n"] >= 3
        assert f"net-{name} on edgepack Loopback" in text
    assert len({run["run"]["samples"]["sha256"] for run in runs.values()}) == 2  # floats, int8
    # what edgepack's own program has no kernels for is named, on paper and in the file
    (left,) = json.loads(path.read_text())["left_out"]
    assert left["model"] == "net-dynamic" and left["error"]["error"] == "unsupported_error"
    assert "left out: net-dynamic" in text
    assert phone.left() == []


@pytest.mark.slow
def test_benchmark_model_runs_every_precision(
    command: Command, lab: Lab, small_float: tuple[Path, Path], tmp_path: Path
) -> None:
    phone = lab.phone(props=REAL)
    path = tmp_path / "all.json"
    binary = write_stand_in(tmp_path / "benchmark_model")
    words = ("--compare", "float,int8,fp16,dynamic", "--samples", 2, "--json", path)
    command(small_float[0], "--phone", phone.address, *words, "--benchmark-binary", binary)
    runs = written(path)
    assert list(runs) == ["float", "int8", "fp16", "dynamic"]
    assert all(run["run"]["samples"]["done"] == 2 for run in runs.values())
    assert json.loads(path.read_text())["left_out"] == [] and phone.left() == []


def kws_samples(real_data: Path, path: Path) -> None:
    """MLPerf Tiny's features as the float model takes them."""
    with np.load(real_data / "kws01/kws01_int8.npz") as file:
        # scale and zero point of kws_int8.tflite's input
        x = (file["x"].astype(np.float32) - 83) * np.float32(0.5847029)
        np.savez(path, x=x, y=file["y"])


def ic_samples(real_data: Path, path: Path) -> None:
    """200 random pictures of CIFAR-10's test split."""
    image = pytest.importorskip("PIL.Image", reason="pip install edgepack[images]")
    import io

    with np.load(real_data / "cifar10/cifar10_jpeg.npz") as file:
        data, offsets, labels = (file[n] for n in ("test_bytes", "test_offsets", "y_test"))
    chosen = np.random.default_rng(0).choice(len(labels), 200, replace=False)
    raw = data.tobytes()
    pictures = [
        np.asarray(image.open(io.BytesIO(raw[offsets[i] : offsets[i + 1]])).convert("RGB"))
        for i in chosen
    ]
    np.savez(path, x=np.stack(pictures), y=labels[chosen])


@pytest.mark.slow
@pytest.mark.needs_data
@pytest.mark.needs_tf
@pytest.mark.parametrize(
    ("model", "make", "samples", "least"),
    [("kws_saved_model", kws_samples, 100, 0.85), ("ic.h5", ic_samples, 40, 0.6)],
)
def test_mlperf_tiny_models_in_three_precisions(
    command: Command,
    lab: Lab,
    real_data: Path,
    tmp_path: Path,
    model: str,
    make: Any,
    samples: int,
    least: float,
) -> None:
    data, path = tmp_path / "data.npz", tmp_path / "all.json"
    make(real_data, data)
    phone = lab.phone(props=REAL)
    words = ("--compare", "float,int8,fp16", "--data", data, "--samples", samples, "--json", path)
    command(real_data / "mlperf_tiny" / model, "--phone", phone.address, *words)
    runs = written(path)
    assert list(runs) == ["float", "int8", "fp16"]
    for run in runs.values():
        report = run["run"]
        assert report["samples"]["done"] == samples
        assert report["parity"]["mismatched_bytes"] == 0
        assert report["accuracy"]["device"] > least
    assert phone.left() == []
