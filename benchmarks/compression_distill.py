"""What a teacher is worth: a student of a quarter of the multiply-accumulates, alone and taught.

`python -m benchmarks.compression_distill [tune] [run] [device] --work FOLDER` derives a narrower
network from MLPerf Tiny's image classifier and trains it from random weights on 5,000 of CIFAR-10's
images (as JPEG files hold them): with their labels alone, with the labels and the classifier as a
teacher, and with the teacher and 5,000 more images that have no label. All take the same number of steps.
`tune` chooses the learning rate of each way on 2,000 other training images, `run` trains with
three other seeds and looks at the test images once, `device` counts instructions of the first
seed's students. What is done stands in compression_distill.json and is not done again; all takes
half an hour on two cores that others use too.

The teacher is the published network as it is. It has seen all 50,000 training images with labels:
what the student learns from it is partly theirs.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import AGAIN, cifar, on_device, options, real_data, store
from edgepack.compress.apply import STEPS, apply
from edgepack.models.dataset import Dataset, Samples, write_dataset
from edgepack.models.load import load_model

RESULT = Path(__file__).with_name("compression_distill.json")
WIDTH = 0.47  # 8, 15 and 30 channels of 16, 32 and 64
LABELLED, MORE, VALIDATION = 5_000, 5_000, 2_000
EPOCHS = 12
RATES = (1e-3, 3e-3, 1e-2)
TUNING_SEED, SEEDS = 0, (1, 2, 3)
# by name: the weight of the teacher, and whether images without labels are among the samples
WAYS: dict[str, tuple[float, bool]] = {
    "alone": (0.0, False),
    "taught": (0.9, False),
    "taught, with images without labels": (0.9, True),
}


def step(way: str, rate: float, seed: int) -> dict[str, Any]:
    """One `[[compress]]` table. More images mean fewer epochs: the steps are as many."""
    alpha, more = WAYS[way]
    epochs = EPOCHS * LABELLED // (LABELLED + MORE) if more else EPOCHS
    return {
        "method": "distill",
        "width": WIDTH,
        "alpha": alpha,
        "seed": seed,
        "finetune": {"epochs": epochs, "batch_size": 64, "learning_rate": rate},
    }


class Bench:
    """The data, and the results so far."""

    def __init__(self, folder: Path, work: Path, seconds: float) -> None:
        self.network, self.work = folder / "mlperf_tiny" / "ic.h5", work
        self.began, self.seconds = time.perf_counter(), seconds
        if not (work / "test.npz").is_file():
            self._write_data(cifar(folder))

    def _write_data(self, whole: Dataset) -> None:
        order = np.random.default_rng(1).permutation(len(whole.train))
        ends = np.cumsum((LABELLED, MORE, VALIDATION))
        train, more, validation = (
            whole.train.take(part) for part in np.split(order, ends)[: len(ends)]
        )
        assert train.labels is not None
        both = Samples(
            (np.concatenate((train.inputs[0], more.inputs[0])),),
            np.concatenate((train.labels, np.full(MORE, -1, np.int64))),
        )
        for split, held in (("validation", validation), ("test", whole.test)):
            write_dataset(self.work / f"{split}-more.npz", Dataset(both, held))
            write_dataset(self.work / f"{split}.npz", Dataset(train, held))

    def result(self, key: str) -> dict[str, Any]:
        """What stands in the file; empty where nothing does."""
        found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
        return dict(found.get(key, {}))

    def save(self, key: str, way: str, rate: float, seed: int, split: str) -> None:
        """Train and keep the figures, unless they are there; ends the program when time is up."""
        if self.result(key):
            return
        if time.perf_counter() - self.began > self.seconds:
            sys.exit(AGAIN)
        store(RESULT, key, self.train(way, rate, seed, split))

    def train(self, way: str, rate: float, seed: int, split: str) -> dict[str, Any]:
        """Train one student; the model stays in the work folder."""
        data = self.work / f"{split}{'-more' if WAYS[way][1] else ''}.npz"
        started, table = time.perf_counter(), step(way, rate, seed)
        steps = STEPS.validate_python([table])
        done = apply(load_model(self.network), steps, data, self.folder(way, seed))
        report = done.report["steps"][0]
        return {
            "step": table,
            "seconds": round(time.perf_counter() - started),
            split: report["after"]["test"]["value"],
            "teacher": report["before"]["test"]["value"],
            "macs": [report["after"]["macs"], report["before"]["macs"]],
            "parameters": [report["after"]["parameters"], report["before"]["parameters"]],
        }

    def folder(self, way: str, seed: int) -> Path:
        """Where a student lies."""
        return self.work / f"{way.replace(', ', '-').replace(' ', '-')}-{seed}"

    def tune(self) -> None:
        """Every way at every learning rate, on the validation images."""
        for way in WAYS:
            for rate in RATES:
                self.save(f"tune: {way}, {rate}", way, rate, TUNING_SEED, "validation")
            scored = {rate: self.result(f"tune: {way}, {rate}")["validation"] for rate in RATES}
            store(RESULT, f"rate: {way}", {"rate": max(scored, key=lambda rate: scored[rate])})

    def run(self) -> None:
        """Three seeds of every way, on the test images."""
        for seed in SEEDS:
            for way in WAYS:
                rate = self.result(f"rate: {way}")["rate"]
                self.save(f"run: {way}, {seed}", way, rate, seed, "test")
        alone = [self.result(f"run: alone, {seed}")["test"] for seed in SEEDS]
        for way in WAYS:
            found = [self.result(f"run: {way}, {seed}")["test"] for seed in SEEDS]
            gains = [b - a for a, b in zip(alone, found, strict=True)]
            summary = {
                "test": [statistics.mean(found), statistics.stdev(found)],
                "gain": [statistics.mean(gains), statistics.stdev(gains)],
            }
            store(RESULT, f"mean and deviation: {way}", summary)

    def device(self) -> None:
        """Instructions of the teacher and of a student, quantized to int8."""
        way, seed = "taught", SEEDS[0]
        path = self.folder(way, seed) / "model.keras"
        if not path.is_file():
            self.train(way, self.result(f"rate: {way}")["rate"], seed, "test")
        for name, source in (("teacher", self.network), ("student", path)):
            figures = on_device(source, self.work / "test.npz", self.work / "device")
            store(RESULT, f"device: {name}", figures)


def main() -> None:
    """Do what is named, or all."""
    names = ["tune", "run", "device"]
    asked = options(__doc__ or "", names)
    bench = Bench(real_data(), asked.work, asked.seconds)
    for name in asked.cases:
        {"tune": bench.tune, "run": bench.run, "device": bench.device}[name]()


if __name__ == "__main__":
    main()
