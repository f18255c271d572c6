"""Samples of the four MLPerf Tiny benchmarks in the layout that the public runner reads.

A benchmark's folder holds one binary file a sample and y_labels.csv, whose lines are: file, number
of classes, class and, for ad01, bytes of a window and bytes between windows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.frontends.tflite import load_tflite
from edgepack.ir import Quantization
from edgepack.types import Array
from tests.oracles import run_tflm

MODELS = {"kws01": "kws", "ic01": "ic", "vww01": "vww", "ad01": "ad"}
_AD_VALUES = 640  # one window: 5 frames of 128 mel bands


@dataclass(frozen=True)
class Sample:
    """One file: its bytes, its class, and the numbers that the device must print for it."""

    data: bytes
    label: int
    expected: tuple[float, ...]


@dataclass(frozen=True)
class BenchmarkSet:
    """The files of one benchmark."""

    task: str
    classes: int
    samples: tuple[Sample, ...]

    def write(self, datasets: Path) -> None:
        """Lay the files out below `datasets`, as the runner's --dataset_path expects them."""
        folder = datasets / self.task
        folder.mkdir(parents=True)
        lines = []
        for number, sample in enumerate(self.samples):
            name = f"{self.task}_{number:04d}.bin"
            (folder / name).write_bytes(sample.data)
            fields: list[object] = [name, self.classes, sample.label]
            if self.task == "ad01":
                fields += [len(sample.data), len(sample.data)]
            lines.append(",".join(map(str, fields)))
        (folder / "y_labels.csv").write_text("\n".join(lines) + "\n")


def load_set(task: str, data: Path, count: int) -> BenchmarkSet:
    """`count` samples; real ones with their labels for kws01 and ic01.

    For vww01 and ad01 there is no data at hand: the inputs are made, and the class of each is what
    TFLite Micro answers (ad01: whether its error is above the middle one). An accuracy of 100 %
    then says that the device answers the same.
    """
    model = Model(data / "mlperf_tiny" / f"{MODELS[task]}_int8.tflite")
    if task == "kws01":
        with np.load(data / "kws01" / "kws01_int8.npz") as file:
            x, y = file["x"][:count], file["y"][:count]
        samples = [
            Sample(q.tobytes(), int(label), model.outputs(q)) for q, label in zip(x, y, strict=True)
        ]
        return BenchmarkSet(task, 12, tuple(samples))
    if task == "ad01":
        return _anomalies(model, count)
    if task == "vww01":
        return _people(model, count)
    samples = [
        Sample(image.tobytes(), label, model.outputs(_as_int8(image)))
        for image, label in _cifar(data, count)
    ]
    return BenchmarkSet(task, 10, tuple(samples))


class Model:
    """An int8 model under TFLite Micro, in real numbers."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        graph = load_tflite(path).main
        tensors = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
        assert all(t.quant is not None for t in tensors)
        self.shape = tuple(tensors[0].shape)
        self.input, self.output = (t.quant or Quantization((), ()) for t in tensors)

    def outputs(self, quantized: Array) -> tuple[float, ...]:
        """The dequantized outputs of an int8 sample."""
        (result,) = run_tflm(self._data, [quantized.reshape(self.shape)])
        real = (result.ravel().astype(np.float64) - self.output.zero_point[0]) * np.float32(
            self.output.scale[0]
        )
        return tuple(float(v) for v in real)

    def quantize(self, values: Array) -> Array:
        """As TFLite does: to the nearest, halves away from zero."""
        steps = values / np.float32(self.input.scale[0])
        rounded = np.trunc(steps + np.copysign(np.float32(0.5), steps)) + self.input.zero_point[0]
        quantized: Array = np.clip(rounded, -128, 127).astype(np.int8)
        return quantized


def _anomalies(model: Model, count: int) -> BenchmarkSet:
    random = np.random.default_rng(1)
    errors, windows = [], []
    for _ in range(count):
        # the range of a log-mel spectrogram in dB; some windows vary more than others
        spread = random.uniform(2, 20)
        window = (-20 + spread * random.standard_normal(_AD_VALUES)).astype("<f4")
        answer = np.array(model.outputs(model.quantize(window)), np.float32)
        errors.append(float(np.mean((answer - window) ** 2, dtype=np.float64)))
        windows.append(window.tobytes())
    middle = float(np.median(errors))
    samples = [
        Sample(data, int(error > middle), (error,))
        for data, error in zip(windows, errors, strict=True)
    ]
    return BenchmarkSet("ad01", 2, tuple(samples))


def _people(model: Model, count: int) -> BenchmarkSet:
    random = np.random.default_rng(2)
    samples = []
    for _ in range(count):
        # grey squares of 6 pixels: a quarter of such images looks like a person to the model
        grey = random.integers(0, 256, (16, 16, 1), dtype=np.uint8)
        image = grey.repeat(6, axis=0).repeat(6, axis=1).repeat(3, axis=2)
        answer = model.outputs(_as_int8(image))
        samples.append(Sample(image.tobytes(), int(np.argmax(answer)), answer))
    return BenchmarkSet("vww01", 2, tuple(samples))


def _cifar(data: Path, count: int) -> Iterator[tuple[Array, int]]:
    """RGB images uint8 [32, 32, 3] of the test split, and their classes."""
    from PIL import Image

    with np.load(data / "cifar10" / "cifar10_jpeg.npz") as file:
        at, raw, labels = file["test_offsets"], file["test_bytes"], file["y_test"].ravel()
    for i in range(count):
        image = Image.open(io.BytesIO(raw[at[i] : at[i + 1]].tobytes()))
        yield np.asarray(image.convert("RGB")), int(labels[i])


def _as_int8(image: Array) -> Array:
    return (image.astype(np.int16) - 128).astype(np.int8)
