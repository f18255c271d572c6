"""What a teacher is worth: a student of a quarter of the multiply-accumulates, alone and taught.

`python -m benchmarks.compression_distill --work FOLDER [--final]` derives a narrower network from a
LeNet-5 and trains it from random weights on 1,000 labelled images of MNIST: from their labels
alone, from labels and teacher, and with 9,000 more images that have no label and only the teacher
speaks of. All take the same number of steps. Without `--final` the learning rate of each way is
chosen on 2,000 other training images; with it three other seeds train at that rate and the test
images are looked at, once. What stands in compression_distill.json is not done again. All took half
an hour on two cores that were busy with other work too.

The teacher has learned from 20,000 other images with labels. That is the case in which one helps:
its data are gone, or too few are at hand. What the student gains is partly theirs.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import AGAIN, Options, mnist, on_device, options, real_data, store
from benchmarks.compression_deep import trained
from edgepack.compress.apply import STEPS, apply
from edgepack.models.dataset import Dataset, Samples, write_dataset
from edgepack.models.load import load_model

RESULT = Path(__file__).with_name("compression_distill.json")
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TUNING_SEED, SEEDS = 0, (1, 2, 3)
WIDTH = 0.46  # of the teacher's channels
TEACHER_IMAGES, LABELLED, MORE, VALIDATION = 20_000, 1_000, 9_000, 2_000
EPOCHS = 40  # of the labelled images
# by name: the weight of the teacher, and whether images without labels are among the samples
WAYS: dict[str, tuple[float, bool]] = {
    "alone": (0.0, False),
    "taught": (0.9, False),
    "taught, with images without labels": (0.9, True),
}


class Bench:
    """The data, the teacher and the results so far."""

    def __init__(self, folder: Path, asked: Options) -> None:
        self.work, self.seconds, self.began = asked.work, asked.seconds, time.perf_counter()
        if not (self.work / "test.npz").is_file():
            self._write_data(mnist(folder))
        self.network = trained("lenet5", self.work / "teacher.npz", self.work).path

    def _write_data(self, whole: Dataset) -> None:
        order = np.random.default_rng(1).permutation(len(whole.train))
        ends = np.cumsum((TEACHER_IMAGES, LABELLED, MORE, VALIDATION))
        cut = [whole.train.take(part) for part in np.split(order, ends)[: len(ends)]]
        of_teacher, few, more, validation = cut
        assert few.labels is not None
        both = Samples(
            (np.concatenate((few.inputs[0], more.inputs[0])),),
            np.concatenate((few.labels, np.full(MORE, -1, np.int64))),
        )
        write_dataset(self.work / "teacher.npz", Dataset(of_teacher, validation))
        for split, held in (("validation", validation), ("test", whole.test)):
            write_dataset(self.work / f"{split}-more.npz", Dataset(both, held))
            write_dataset(self.work / f"{split}.npz", Dataset(few, held))

    def result(self, key: str) -> dict[str, Any]:
        """What stands in the file; empty where nothing does."""
        found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
        return dict(found.get(key, {}))

    def step(self, way: str, rate: float, seed: int) -> dict[str, Any]:
        """One `[[compress]]` table. More images mean fewer epochs: the steps are as many."""
        alpha, more = WAYS[way]
        total = LABELLED + (MORE if more else 0)
        return {
            "method": "distill",
            "width": WIDTH,
            "alpha": alpha,
            "seed": seed,
            "finetune": {
                "epochs": round(EPOCHS * LABELLED / total),
                "batch_size": 50,
                "learning_rate": rate,
            },
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
        store(RESULT, key, figures)

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
            store(RESULT, f"mean and deviation: {way}", summary)
        student = self.folder("taught", SEEDS[0]) / "model.keras"
        for name, source in (("teacher", self.network), ("student", student)):
            figures = on_device(source, self.work / "test.npz", self.work / "device")
            store(RESULT, f"device: {name}", figures)


def main() -> None:
    """Choose the rates, or train with them."""
    asked = options(__doc__ or "", [])
    bench = Bench(real_data(), asked)
    if asked.final:
        bench.run()
    else:
        bench.tune()


if __name__ == "__main__":
    main()
