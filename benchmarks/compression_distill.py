"""What a teacher is worth: a student of a quarter of the multiply-accumulates, alone and taught.

`python -m benchmarks.compression_distill [mnist] [cifar] --work FOLDER [--final]` derives a
narrower network from a teacher and trains it from random weights on some labelled images: from
their labels alone, from labels and teacher, and with more images that have no label and only the
teacher speaks of. All take the same number of steps. Without `--final` the learning rate of each
way is chosen on other training images; with it three other seeds train at that rate and the test
images are looked at, once. What stands in compression_distill.json is not done again.

The teachers have learned from more labelled images than the students get: LeNet-5 of 20,000 of
MNIST's, MLPerf Tiny's published image classifier of all 50,000 of CIFAR-10's (here as JPEG files
hold them). That is the case in which a teacher helps: its data are gone, or were never labelled
for this task.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import AGAIN, Options, cifar, mnist, on_device, options, real_data
from benchmarks.compression import store as store_in
from benchmarks.compression_deep import trained
from edgepack.compress.apply import STEPS, apply
from edgepack.models.dataset import Dataset, Samples, write_dataset
from edgepack.models.load import load_model

RESULT = Path(__file__).with_name("compression_distill.json")
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TUNING_SEED, SEEDS = 0, (1, 2, 3)
TEACHER_IMAGES = 20_000  # of MNIST
# by name: the weight of the teacher, and whether images without labels are among the samples
WAYS: dict[str, tuple[float, bool]] = {
    "alone": (0.0, False),
    "taught": (0.9, False),
    "taught, with images without labels": (0.9, True),
}


@dataclass(frozen=True)
class Size:
    """The student's share of the channels, how many images of each kind, and epochs of the few."""

    width: float
    labelled: int
    more: int
    validation: int
    epochs: int


SIZES = {
    "mnist": Size(0.46, 1_000, 9_000, 2_000, 40),
    "cifar": Size(0.47, 3_000, 3_000, 1_000, 12),
}


class Bench:
    """One task: its data, its teacher and the results so far."""

    def __init__(self, task: str, folder: Path, asked: Options) -> None:
        self.task, self.size = task, SIZES[task]
        self.work, self.seconds = asked.work / task, asked.seconds
        self.began = time.perf_counter()
        self.work.mkdir(parents=True, exist_ok=True)
        self.network = folder / "mlperf_tiny" / "ic.h5"
        if not (self.work / "test.npz").is_file():
            self._write_data(mnist(folder) if task == "mnist" else cifar(folder))
        if task == "mnist":
            self.network = trained("lenet5", self.work / "teacher.npz", self.work).path

    def _write_data(self, whole: Dataset) -> None:
        size, order = self.size, np.random.default_rng(1).permutation(len(whole.train))
        ends = np.cumsum((TEACHER_IMAGES, size.labelled, size.more, size.validation))
        cut = [whole.train.take(part) for part in np.split(order, ends)[: len(ends)]]
        of_teacher, few, more, validation = cut
        assert few.labels is not None
        both = Samples(
            (np.concatenate((few.inputs[0], more.inputs[0])),),
            np.concatenate((few.labels, np.full(size.more, -1, np.int64))),
        )
        write_dataset(self.work / "teacher.npz", Dataset(of_teacher, validation))
        for split, held in (("validation", validation), ("test", whole.test)):
            write_dataset(self.work / f"{split}-more.npz", Dataset(both, held))
            write_dataset(self.work / f"{split}.npz", Dataset(few, held))

    def result(self, key: str) -> dict[str, Any]:
        """What stands in the file; empty where nothing does."""
        found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
        return dict(found.get(f"{self.task}, {key}", {}))

    def store(self, key: str, figures: dict[str, Any]) -> None:
        """Put figures into the file."""
        store_in(RESULT, f"{self.task}, {key}", figures)

    def step(self, way: str, rate: float, seed: int) -> dict[str, Any]:
        """One `[[compress]]` table. More images mean fewer epochs: the steps are as many."""
        alpha, more = WAYS[way]
        total = self.size.labelled + (self.size.more if more else 0)
        epochs = round(self.size.epochs * self.size.labelled / total)
        return {
            "method": "distill",
            "width": self.size.width,
            "alpha": alpha,
            "seed": seed,
            "finetune": {"epochs": epochs, "batch_size": 50, "learning_rate": rate},
        }

    def save(self, key: str, way: str, rate: float, seed: int, split: str) -> None:
        """Train and keep the figures, unless they are there; ends the program when time is up."""
        if self.result(key):
            return
        if time.perf_counter() - self.began > self.seconds:
            sys.exit(AGAIN)
        started, table = time.perf_counter(), self.step(way, rate, seed)
        data = self.work / f"{split}{'-more' if WAYS[way][1] else ''}.npz"
        steps = STEPS.validate_python([table])
        done = apply(load_model(self.network), steps, data, self.folder(way, seed))
        report = done.report["steps"][0]
        figures = {
            "step": table,
            "seconds": round(time.perf_counter() - started),
            split: report["after"]["test"]["value"],
            "teacher": report["before"]["test"]["value"],
            "macs": [report["after"]["macs"], report["before"]["macs"]],
            "parameters": [report["after"]["parameters"], report["before"]["parameters"]],
        }
        self.store(key, figures)

    def folder(self, way: str, seed: int) -> Path:
        """Where a student lies."""
        return self.work / f"{way.replace(', ', '-').replace(' ', '-')}-{seed}"

    def tune(self) -> None:
        """Every way at every learning rate, on the validation images."""
        for way in WAYS:
            for rate in RATES:
                self.save(f"tune: {way}, {rate}", way, rate, TUNING_SEED, "validation")
            scored = {rate: self.result(f"tune: {way}, {rate}")["validation"] for rate in RATES}
            self.store(f"rate: {way}", {"rate": max(scored, key=lambda rate: scored[rate])})

    def run(self) -> None:
        """Three seeds of every way, on the test images; instructions of the teacher and a student.

        Whatever the seed, equal students have equal instructions.
        """
        for way in WAYS:
            rate = self.result(f"rate: {way}")["rate"]
            for seed in SEEDS:
                self.save(f"run: {way}, {seed}", way, rate, seed, "test")
            alone = [self.result(f"run: alone, {seed}")["test"] for seed in SEEDS]
            found = [self.result(f"run: {way}, {seed}")["test"] for seed in SEEDS]
            gains = [b - a for a, b in zip(alone, found, strict=True)]
            summary = {
                "test": [statistics.mean(found), statistics.stdev(found)],
                "gain": [statistics.mean(gains), statistics.stdev(gains)],
            }
            self.store(f"mean and deviation: {way}", summary)
        student = self.folder("taught", SEEDS[0]) / "model.keras"
        for name, source in (("teacher", self.network), ("student", student)):
            self.store(
                f"device: {name}", on_device(source, self.work / "test.npz", self.work / "device")
            )


def main() -> None:
    """Do what is named, or all."""
    asked = options(__doc__ or "", list(SIZES))
    for task in asked.cases:
        bench = Bench(task, real_data(), asked)
        if asked.final:
            bench.run()
        else:
            bench.tune()


if __name__ == "__main__":
    main()
