"""LeNet-5 on MNIST, quantized: calibrated only, and fine-tuned, each with several seeds.

`python -m benchmarks.quantize_mnist [CASE ...]` trains the network (about two minutes on two
cores), then runs the cases below, each with calibration samples and an order of training that
its seed draws, and writes quantize_mnist.json. Evaluated are all 10,000 test images, which no
step looks at before. The network is kept in the folder that EDGEPACK_BENCH_WORK names, else it
is trained anew.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import data_dir
from edgepack.models.dataset import Dataset, Samples, read_dataset, write_dataset
from edgepack.models.isolate import Task, run_task
from edgepack.models.progress import Progress
from edgepack.pipeline.quantize import Asked, quantize_any
from edgepack.quantize.qat_options import QatOptions
from edgepack.quantize.recipe import QuantizeRecipe

RESULT = Path(__file__).with_name("quantize_mnist.json")
WORK_VARIABLE = "EDGEPACK_BENCH_WORK"
SEEDS = (0, 1, 2)
EPOCHS = 4
_LOW_BITS = QatOptions(epochs=2, batch_size=128, learning_rate=1e-3)
_FINE = QatOptions(epochs=1, batch_size=128, learning_rate=2e-4)
CASES: dict[str, tuple[QuantizeRecipe, tuple[int, ...]]] = {
    "int8": (QuantizeRecipe(), SEEDS),
    "int8-per-tensor": (QuantizeRecipe(scheme="int8-per-tensor"), SEEDS),
    "int16x8": (QuantizeRecipe(scheme="int16x8"), SEEDS),
    "int4": (QuantizeRecipe(scheme="int4"), SEEDS),
    "int4, trained": (QuantizeRecipe(scheme="int4", qat=_LOW_BITS), SEEDS),
    "int2": (QuantizeRecipe(scheme="int2"), SEEDS),
    "int2, trained": (QuantizeRecipe(scheme="int2", qat=_LOW_BITS), SEEDS[:1]),
    "int16x8, trained": (QuantizeRecipe(scheme="int16x8", qat=_FINE), SEEDS[:1]),
    "int8, trained": (QuantizeRecipe(qat=_FINE), SEEDS[:1]),
}


def train(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: train the network. Arguments: `data`, `out`."""
    import keras
    from keras import layers

    from edgepack.compress.finetune import finetune
    from edgepack.compress.options import FineTune
    from edgepack.models import keras_child

    keras_child.set_seed(0)
    parts = [keras.Input((28, 28, 1), name="image")]
    for index, (filters, padding) in enumerate(((6, "same"), (16, "valid"))):
        parts += [
            layers.Conv2D(filters, 5, padding=padding, use_bias=False, name=f"conv{index}"),
            layers.BatchNormalization(name=f"norm{index}"),
            layers.ReLU(name=f"relu{index}"),
            layers.MaxPooling2D(2, name=f"pool{index}"),
        ]
    parts.append(layers.Flatten())
    for index, units in enumerate((120, 84)):
        parts.append(layers.Dense(units, activation="relu", name=f"dense{index}"))
    parts.append(layers.Dense(10, activation="softmax", name="scores"))
    model = keras.Sequential(parts)
    config = FineTune(epochs=EPOCHS, batch_size=128, learning_rate=1e-3)
    finetune(model, read_dataset(Path(arguments["data"])), config, seed=0)
    keras_child.save_keras(model, Path(arguments["out"]))
    return {}


def write_mnist(folder: Path, path: Path) -> None:
    """MNIST as floats from 0 to 1."""
    with np.load(folder / "mnist" / "mnist.npz") as arrays:
        splits = [
            Samples(
                ((arrays[f"x_{split}"][..., None] / np.float32(255)).astype(np.float32),),
                arrays[f"y_{split}"].astype(np.int64),
            )
            for split in ("train", "test")
        ]
    write_dataset(path, Dataset(splits[0], splits[1]))


def one(network: Path, data: Path, settings: QuantizeRecipe, seed: int) -> dict[str, Any]:
    """Figures of one case with one seed."""
    qat = None if settings.qat is None else replace(settings.qat, seed=seed)
    started = time.perf_counter()
    done = quantize_any(Asked(network, str(data), replace(settings, seed=seed, qat=qat)))
    report = done.report
    exact, got = (report["evaluation"][k]["value"] for k in ("float", "quantized"))
    found = {
        "float": exact,
        "quantized": got,
        "drop_points": round(100 * (exact - got), 4),
        "same_class": report["evaluation"]["outputs"][0]["same_class"],
        "bytes": report["bytes"],
        "seconds": round(time.perf_counter() - started, 1),
    }
    if qat is not None:
        found["agreement"] = report["qat"]["agreement"]
        found["epochs"] = report["qat"]["epochs"]
    return found


def main() -> None:
    """Run the cases that are named, or all, and write the result."""
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real data is absent: set EDGEPACK_DATA")
    result: dict[str, Any] = {"samples": 10_000, "epochs": EPOCHS, "cases": {}}
    if RESULT.is_file():
        result["cases"] = json.loads(RESULT.read_text(encoding="utf-8"))["cases"]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(os.environ.get(WORK_VARIABLE, scratch))
        data, network = work / "mnist.npz", work / "lenet5.keras"
        if not network.is_file():
            write_mnist(folder, data)
            arguments = {"data": str(data), "out": str(network)}
            run_task(Task("benchmarks.quantize_mnist:train", arguments, "training", 3600.0))
        for case in sys.argv[1:] or list(CASES):
            settings, seeds = CASES[case]
            result["cases"][case] = {str(s): one(network, data, settings, s) for s in seeds}
            print(case, json.dumps(result["cases"][case]), flush=True)
            RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
