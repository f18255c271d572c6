"""Float networks with real samples for the quantizer's benchmarks."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.models.progress import silent
from edgepack.pipeline.convert import as_tflite
from edgepack.quantize.columns import real_outputs
from edgepack.quantize.evaluate import Score, score
from edgepack.types import Array

DIGITS = Path(__file__).resolve().parents[1] / "tests" / "quantize" / "data"
KWS_SCALE, KWS_ZERO = 0.5847029, 83  # README of the data folder
_DIGITS_TRAIN = 1297  # tests/quantize/data/make_models.py
_IC_POOL = 1000  # training images of which calibration samples are drawn


@dataclass(frozen=True)
class Network:
    """A float `.tflite` with samples as it takes them.

    Attributes:
        data: the model.
        source: what it was converted from.
        pool: what calibration samples are drawn from, [n, ...].
        x, y: what is evaluated.
    """

    data: bytes
    source: Path
    pool: Array
    x: Array
    y: Array

    def rows(self, array: Array) -> list[tuple[Array, ...]]:
        """Samples with batch axis."""
        return [(array[i : i + 1],) for i in range(len(array))]

    def drawn(self, count: int, seed: int) -> list[tuple[Array, ...]]:
        """Calibration samples; all of the pool in order where it has no more."""
        if count >= len(self.pool):
            return self.rows(self.pool)
        chosen = np.random.default_rng(seed).choice(len(self.pool), count, replace=False)
        return self.rows(self.pool[np.sort(chosen)])

    def judged(self, model: bytes, count: int | None = None) -> Score:
        """Accuracy of a model, float or quantized, on all evaluation samples or the first ones."""
        x, y = self.x[:count], self.y[:count]
        found = score(real_outputs(model, self.rows(x), silent, "")[0], y)
        assert found is not None
        return found


def kws(folder: Path) -> Network:
    """MLPerf Tiny's keyword spotting; samples 0 to 199 calibrate, the others are evaluated."""
    with np.load(folder / "kws01" / "kws01_int8.npz") as arrays:
        x, y = arrays["x"].astype(np.float32), arrays["y"].astype(np.int64)
    real = ((x - KWS_ZERO) * np.float32(KWS_SCALE)).astype(np.float32).reshape(-1, 49, 10, 1)
    source = folder / "mlperf_tiny" / "kws_saved_model"
    data = as_tflite(source).path.read_bytes()
    return Network(data, source, real[:200], real[200:], y[200:])


def ic(folder: Path) -> Network:
    """MLPerf Tiny's image classifier; the whole JPEG test split of CIFAR-10 is evaluated."""
    from PIL import Image

    splits = {}
    with np.load(folder / "cifar10" / "cifar10_jpeg.npz") as archive:
        for split, limit in (("train", _IC_POOL), ("test", None)):
            raw, offsets = archive[f"{split}_bytes"].tobytes(), archive[f"{split}_offsets"]
            pairs = list(itertools.pairwise(offsets))[:limit]
            images = [
                np.asarray(Image.open(io.BytesIO(raw[a:b])).convert("RGB"), np.float32)
                for a, b in pairs
            ]
            splits[split] = np.stack(images), archive[f"y_{split}"].astype(np.int64)
    source = folder / "mlperf_tiny" / "ic_float32.tflite"
    return Network(
        source.read_bytes(), folder / "mlperf_tiny" / "ic.h5", splits["train"][0], *splits["test"]
    )


def digits(name: str) -> Network:
    """A small network of tests/quantize/data: mobile, lstm, gru, ..."""
    source = DIGITS / f"{name}.tflite"
    with np.load(DIGITS / "digits.npz") as arrays:
        x, y = arrays["x"].astype(np.float32) / 16, arrays["y"].astype(np.int64)
    shape = (8, 8, 1) if name == "mobile" else (8, 8)
    x = x.reshape(-1, *shape)
    return Network(
        source.read_bytes(), source, x[:_DIGITS_TRAIN], x[_DIGITS_TRAIN:], y[_DIGITS_TRAIN:]
    )
