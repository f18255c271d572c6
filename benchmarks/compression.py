"""What the benchmarks of compression share: data in three parts, trainings in portions, figures.

Recipes are chosen on samples that are held out of the training split; the test split is looked at
by `final` alone. Long trainings go on where they were stopped: `--minutes` ends a run (exit code
75), and the same command takes it up again.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Optimize, data_dir, measure
from edgepack.compress.apply import STEPS, Compressed, apply
from edgepack.errors import ConversionError
from edgepack.models.dataset import Dataset, Samples, read_dataset, write_dataset
from edgepack.models.handle import ModelHandle
from edgepack.models.isolate import Task, run_task
from edgepack.models.progress import Progress
from edgepack.pipeline.device_meter import METER
from edgepack.pipeline.quantize import Asked, quantize_any
from edgepack.quantize.recipe import QuantizeRecipe, Scheme

TARGET = "netduinoplus2"
AGAIN = 75  # exit code: not finished, run the command again
_CHECKPOINTS = "steps"
_BEGAN = time.perf_counter()


@dataclass(frozen=True)
class Parts:
    """Two files: `choose` has held-out training samples as its test split, `final` the real one."""

    choose: Path
    final: Path


@dataclass(frozen=True)
class Options:
    """The command line of a benchmark of compression."""

    cases: list[str]
    work: Path
    seconds: float
    final: bool


def options(description: str, cases: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=", ".join(cases))
    parser.add_argument("--work", type=Path, help="a folder that trainings are kept in")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after that time")
    parser.add_argument("--final", action="store_true", help="state figures of the test split")
    read = parser.parse_args()
    unknown = [case for case in read.cases if case not in cases]
    if unknown:
        parser.error(f"no case {unknown[0]!r}: {', '.join(cases)}")
    work = read.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    return Options(read.cases or list(cases), work, 60 * read.minutes, read.final)


def halved(criterion: str) -> dict[str, Any]:
    """The step after which the emulated board executes half as much; it trains nothing."""
    return {
        "method": "prune_structured",
        "budget": {"instructions": 0.5},
        "target": TARGET,
        "multiple": 4,
        "criterion": criterion,
        "samples": 2000,
        "finetune": {"epochs": 0},
    }


def real_data() -> Path:
    """The folder of real models and data, or the end of the program."""
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real models is absent: set EDGEPACK_DATA")
    return folder


def parts(whole: Dataset, held_out: int, work: Path, name: str) -> Parts:
    """Write both files, unless they are there.

    Args:
        whole: the training split and the real test split.
        held_out: samples of the training split that recipes are chosen by.
        work: the folder.
        name: of the files.
    """
    found = Parts(work / f"{name}-choose.npz", work / f"{name}-final.npz")
    if not found.final.is_file():
        order = np.random.default_rng(0).permutation(len(whole.train))
        chosen, train = np.sort(order[:held_out]), np.sort(order[held_out:])
        trained = whole.train.take(train)
        write_dataset(found.choose, Dataset(trained, whole.train.take(chosen)))
        write_dataset(found.final, Dataset(trained, whole.test))
    return found


def mnist(folder: Path) -> Dataset:
    """MNIST, pixels 0 to 1 as float32 [n, 28, 28, 1]."""
    with np.load(folder / "mnist" / "mnist.npz") as arrays:
        splits = [
            Samples(
                ((arrays[f"x_{split}"][..., None] / np.float32(255)).astype(np.float32),),
                arrays[f"y_{split}"].astype(np.int64),
            )
            for split in ("train", "test")
        ]
    return Dataset(splits[0], splits[1])


def cifar(folder: Path) -> Dataset:
    """CIFAR-10 from its JPEG bytes: pixels 0 to 255 as uint8."""
    from PIL import Image

    splits = []
    with np.load(folder / "cifar10" / "cifar10_jpeg.npz") as archive:
        for split in ("train", "test"):
            data, offsets = archive[f"{split}_bytes"].tobytes(), archive[f"{split}_offsets"]
            images = [
                np.asarray(Image.open(io.BytesIO(data[a:b])).convert("RGB"))
                for a, b in itertools.pairwise(offsets)
            ]
            splits.append(Samples((np.stack(images),), archive[f"y_{split}"].astype(np.int64)))
    return Dataset(splits[0], splits[1])


def compressed(
    network: ModelHandle, steps: list[dict[str, Any]], data: Path, asked: Options, name: str
) -> tuple[Compressed, float]:
    """Run steps, or what is left of them; ends the program when the time is up.

    Args:
        network: what they start from.
        steps: as `[[compress]]` tables have them.
        data: an .npz.
        asked: the command line.
        name: of the case.

    Returns:
        The result, and the minutes that it took, all runs together.
    """
    folder = asked.work / name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    clock, started = folder / "seconds", time.perf_counter()
    before = float(clock.read_text()) if clock.is_file() else 0.0
    last = [0.0]

    def tell(stage: str, fraction: float | None, message: str) -> None:
        if time.perf_counter() - last[0] > 20.0:
            last[0] = time.perf_counter()
            print(name, stage, fraction, message, file=sys.stderr, flush=True)

    try:
        done = apply(
            network,
            STEPS.validate_python(steps),
            data,
            folder,
            progress=tell,
            timeout=max(60.0, asked.seconds - (started - _BEGAN)),
            folder=asked.work,
            checkpoints=asked.work / _CHECKPOINTS,
            meter=METER,
        )
    except ConversionError as error:
        if "did not finish" not in error.message:
            raise
        sys.exit(AGAIN)
    finally:
        clock.write_text(str(before + time.perf_counter() - started))
    return done, (before + time.perf_counter() - started) / 60


def figures(
    network: ModelHandle, steps: list[dict[str, Any]], data: Parts, asked: Options, name: str
) -> dict[str, Any]:
    """All figures of a recipe whose network is quantized to int8: those of `final` only if asked.

    Args:
        network: what it starts from.
        steps: as `[[compress]]` tables have them.
        data: both files.
        asked: the command line.
        name: of the case.
    """
    done, minutes = compressed(network, steps, data.choose, asked, name)
    first, last = done.report["steps"][0]["before"], done.report["steps"][-1]["after"]
    found: dict[str, Any] = {
        "steps": steps,
        "minutes": round(minutes, 1),
        "held out before": first["test"]["value"],
        "held out": last["test"]["value"],
        "macs": last["macs"],
        "parameters": last["parameters"],
    }
    if asked.final:
        found["test"] = accuracy(done.handle.path, data.final)
        found["device"] = on_device(done.handle.path, data.final, asked.work / "device")
    return found


def evaluate(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: the score of a Keras file on the test split of a data file. `model`, `data`."""
    from edgepack.models import keras_child
    from edgepack.models.keras_run import score

    model = keras_child.load_keras(Path(arguments["model"]))
    found = score(model, read_dataset(Path(arguments["data"])).test)
    return {"score": None if found is None else found.value}


def accuracy(model: Path, data: Path) -> float:
    """Top-1 of a Keras file on the test split of a data file, 0 to 1."""
    arguments = {"model": str(model.resolve()), "data": str(data.resolve())}
    task = Task("benchmarks.compression:evaluate", arguments, f"evaluating {model.name}", 900.0)
    return float(run_task(task)["score"])


def on_device(
    model: Path, data: Path, folder: Path, scheme: Scheme = "int8", optimize: Optimize = "balanced"
) -> dict[str, Any]:
    """Quantize, build for the emulated Cortex-M4 and run: accuracy on the test split of `data`."""
    quantized = quantize_any(Asked(model, str(data.resolve()), QuantizeRecipe(scheme=scheme)))
    # the name decides the names of symbols, whose length must not differ between cases
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "net.tflite"
    path.write_bytes(quantized.data)
    figures = measure(path, TARGET, folder, full_image=False, optimize=optimize)
    return {
        "scheme": scheme,
        "optimize": optimize,
        "accuracy": quantized.report["evaluation"]["quantized"]["value"],
        **figures.as_dict(),
    }


def store(result: Path, case: str, figures: dict[str, Any]) -> None:
    """Put a case's figures into a result file, beside those of the others."""
    found = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
    found[case] = {**found.get(case, {}), **figures}
    result.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(case, json.dumps(figures), flush=True)
