"""Pruning of LeNet-300-100 on MNIST: magnitude, Optimal Brain Damage and Surgeon, and patterns.

`python -m benchmarks.compression_pruning [CASE ...]` trains the network on 55,000 of the 60,000
training images, prunes it by each recipe below with each seed, and writes
compression_pruning.json; the first seed's networks are also built as int8 for the emulated
Cortex-M4. The other 5,000 are the validation split, by which recipes were chosen;
the test split is scored once, when a recipe stands. `CASE` may end in `*`.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import mnist
from benchmarks.compression_deep import trained
from benchmarks.measure import Optimize, data_dir, measure
from edgepack.compress.apply import STEPS, apply
from edgepack.models.dataset import Dataset, read_dataset, write_dataset
from edgepack.models.isolate import Task, kept_child, run_task
from edgepack.models.load import load_model
from edgepack.models.progress import Progress
from edgepack.pipeline.quantize import Asked, quantize_any
from edgepack.quantize.recipe import QuantizeRecipe

RESULT = Path(__file__).with_name("compression_pruning.json")
TARGET = "netduinoplus2"
VALIDATION = 5000
SEEDS = (0, 1, 2)
_FIT = {"epochs": 6, "batch_size": 128, "learning_rate": 1e-3}
_NONE = {"epochs": 0}


def _cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"trained on": {"method": "finetune", "finetune": _FIT}}
    surgery = {"schedule": "polynomial", "every": 500, "stages": 1}
    by_layer = {"scope": "layer"}
    for share in (0.9, 0.96):
        at = f"{100 * share:.0f} %"
        shared = {"sparsity": share, "scope": "global"}
        alone = {**shared, "schedule": "constant", "finetune": _NONE}
        gradual = {**shared, "initial_sparsity": 0.5, "every": 100, "finetune": _FIT}
        found |= {
            f"magnitude, {at}, no training": {"method": "prune_magnitude", **alone},
            f"obd, {at}, no training": {"method": "prune_obd", **alone},
            f"obs, {at}, no training": {"method": "prune_obs", **alone},
            f"magnitude, {at}, by layer, no training": {
                "method": "prune_magnitude",
                **alone,
                **by_layer,
            },
            f"obs, {at}, by layer, no training": {"method": "prune_obs", **alone, **by_layer},
            f"magnitude, {at}": {"method": "prune_magnitude", **gradual},
            f"obd, {at}": {"method": "prune_obd", **gradual},
            f"obs, {at}": {"method": "prune_obs", **gradual, **surgery},
            f"magnitude, {at}, by layer": {"method": "prune_magnitude", **gradual, **by_layer},
            f"obs, {at}, by layer": {"method": "prune_obs", **gradual, **surgery, **by_layer},
        }
    found["magnitude, 50 to 90 %, by layer"] = {
        "method": "prune_magnitude", "initial_sparsity": 0.5, "sparsity": 0.9, "every": 50,
        "finetune": _FIT,
    }  # fmt: skip
    for pattern in ("2:4", "1:4"):
        found[pattern] = {
            "method": "prune_pattern", "pattern": pattern, "every": 50, "finetune": _FIT,
        }  # fmt: skip
    for pattern in ("1x4", "4x1"):
        for share in (0.75, 0.9):
            found[f"{pattern}, {100 * share:.0f} %"] = {
                "method": "prune_pattern", "pattern": pattern, "sparsity": share, "every": 50,
                "initial_sparsity": 0.5, "scope": "global", "finetune": _FIT,
            }  # fmt: skip
    return found


CASES = _cases()


def score_test(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: the score of a model on the test split. Arguments: `model`, `data`."""
    from edgepack.models import keras_child
    from edgepack.models.keras_run import score

    model = keras_child.load_keras(Path(arguments["model"]))
    metric = score(model, read_dataset(Path(arguments["data"])).test)
    assert metric is not None
    return {"value": metric.value}


def splits(folder: Path, validated: Path, tested: Path) -> None:
    """Files with training and validation images, and with validation and test images."""
    whole = mnist(folder)
    train, test = whole.train, whole.test
    order = np.random.default_rng(0).permutation(len(train))
    fitted, held = train.take(order[VALIDATION:]), train.take(order[:VALIDATION])
    write_dataset(validated, Dataset(fitted, held))
    write_dataset(tested, Dataset(held, test))


def on_device(model: Path, data: Path, work: Path) -> dict[str, Any]:
    """The network as int8 on the board, built in its two ways, and its score there.

    Args:
        model: a `.keras` file.
        data: the validation split, to calibrate with, and the test split.
        work: for the project.
    """
    quantized = quantize_any(Asked(model, str(data), QuantizeRecipe()))
    path = work / "net.tflite"
    path.write_bytes(quantized.data)
    found: dict[str, Any] = {"int8": quantized.report["evaluation"]["quantized"]["value"]}
    optimizes: tuple[Optimize, ...] = ("balanced", "size")
    for optimize in optimizes:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(path, TARGET, Path(folder), full_image=False, optimize=optimize)
        kept = ("instructions", "flash", "ram", "mismatched_bytes")
        found[optimize] = {key: getattr(figures, key) for key in kept}
    return found


def main() -> None:
    """Run the cases that are named, or all, and write the result."""
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real data is absent: set EDGEPACK_DATA")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compression_pruning")
    parser.add_argument("case", nargs="*", default=["*"])
    parser.add_argument("--work", type=Path, help="keeps data and network for the next call")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many")
    given = parser.parse_args()
    wanted, seeds = given.case, SEEDS[: given.seeds]
    names = [name for name in CASES if any(fnmatch.fnmatchcase(name, w) for w in wanted)]
    with tempfile.TemporaryDirectory() as scratch, kept_child():
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        validated, tested = work / "validation.npz", work / "test.npz"
        if not (work / "lenet300.keras").is_file():
            splits(folder, validated, tested)
            trained("lenet300", validated, work)
        network = load_model(work / "lenet300.keras")
        for name in names:
            alone = CASES[name]["finetune"]["epochs"] == 0 and "obs" not in name
            runs = []
            for seed in seeds[: 1 if alone else None]:
                started = time.perf_counter()
                steps = STEPS.validate_python([{**CASES[name], "seed": seed}])
                done = apply(network, steps, validated, work / f"{name}-{seed}".replace(" ", "-"))
                seconds = round(time.perf_counter() - started, 1)
                arguments = {"model": str(done.handle.path), "data": str(tested)}
                task = Task("benchmarks.compression_pruning:score_test", arguments, "scoring", 300)
                step = done.report["steps"][0]
                device = None
                if seed == 0 and CASES[name]["finetune"]["epochs"]:
                    device = on_device(done.handle.path, tested, work)
                runs.append(
                    {
                        "seed": seed,
                        "device": device,
                        "seconds": seconds,
                        "validation": step["after"]["test"]["value"],
                        "test": run_task(task)["value"],
                        "nonzero": step["after"]["nonzero_parameters"],
                        "layers": {x["name"]: x["elements"] - x["zeros"] for x in step["layers"]},
                    }
                )
            made: dict[str, Any] = {"step": CASES[name], "runs": runs}
            for split in ("validation", "test"):
                values = [run[split] for run in runs]
                made[split] = {
                    "mean": statistics.mean(values),
                    "deviation": statistics.stdev(values) if len(values) > 1 else None,
                }
            result = json.loads(RESULT.read_text("utf-8")) if RESULT.is_file() else {}
            result[name] = made
            RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(name, made["validation"], made["test"], runs[0]["seconds"], flush=True)


if __name__ == "__main__":
    main()
