"""Full-integer int8 from the MLPerf Tiny models: as accurate as the published files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from edgepack.models.dataset import Samples
from edgepack.models.litert import run_samples, stored_samples
from edgepack.models.load import load_model
from edgepack.models.tflite_file import load_tflite
from edgepack.quantize.int8 import quantize_int8
from edgepack.quantize.recipe import QuantizeRecipe
from edgepack.types import Array

pytestmark = [pytest.mark.needs_tf, pytest.mark.needs_data, pytest.mark.slow]

CALIBRATION = 200
# Two quantizations of one network disagree on a few samples near the border of two classes.
ALLOWED_DROP = 0.006


def accuracy(model: Path, x: Array, labels: Array) -> float:
    """Top-1 of an int8 file on real values."""
    handle = load_tflite(model)
    stored = stored_samples(handle, Samples((x,), labels))
    outputs = np.concatenate([result[0] for result in run_samples(handle, stored)])
    return float((outputs.argmax(axis=1) == labels).mean())


def compare(source: str, published: str, data: Path, real_data: Path, out: Path) -> None:
    with np.load(data) as arrays:
        x, labels = arrays["x_test"], arrays["y_test"]
    folder = real_data / "mlperf_tiny"
    recipe = QuantizeRecipe(calibration_samples=CALIBRATION)
    made = quantize_int8(load_model(folder / source), recipe, data, out)
    assert made.handle.is_full_integer
    theirs, ours = accuracy(folder / published, x, labels), accuracy(made.handle.path, x, labels)
    print(f"\n{source}: published int8 {theirs:.4f}, ours {ours:.4f}, of {len(labels)} samples")
    assert ours >= theirs - ALLOWED_DROP


def test_kws_from_its_saved_model(real_data: Path, tmp_path: Path) -> None:
    with np.load(real_data / "kws01" / "kws01_int8.npz") as arrays:
        stored, labels = arrays["x"], arrays["y"].astype(np.int64)
    x = (stored.astype(np.float32) - 83) * np.float32(0.5847029)  # README of the data folder
    path = tmp_path / "kws.npz"
    parts = {"x_train": x[:CALIBRATION], "y_train": labels[:CALIBRATION]}
    parts |= {"x_test": x[CALIBRATION:], "y_test": labels[CALIBRATION:]}
    np.savez(path, allow_pickle=False, **parts)
    compare("kws_saved_model", "kws_int8.tflite", path, real_data, tmp_path / "out")


def test_ic_from_its_h5(real_data: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow decodes the pictures")
    with np.load(real_data / "cifar10" / "cifar10_jpeg.npz") as arrays:
        parts = {}
        for split, count in (("train", CALIBRATION), ("test", 1000)):
            raw, starts = arrays[f"{split}_bytes"], arrays[f"{split}_offsets"]
            pictures = [
                np.asarray(image.open(io.BytesIO(raw[starts[i] : starts[i + 1]].tobytes())))
                for i in range(count)
            ]
            parts[f"x_{split}"] = np.stack(pictures).astype(np.float32)
            parts[f"y_{split}"] = arrays[f"y_{split}"][:count].astype(np.int64).reshape(-1)
    path = tmp_path / "ic.npz"
    np.savez(path, allow_pickle=False, **parts)
    compare("ic.h5", "ic_int8.tflite", path, real_data, tmp_path / "out")
