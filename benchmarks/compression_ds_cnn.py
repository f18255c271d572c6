"""Structured pruning of a DS-CNN, the shape of MLPerf Tiny's keyword spotter, with enough data.

`python -m benchmarks.compression_ds_cnn [CASE ...] --work FOLDER [--final]`. The keyword spotter's
training data are not at hand (`compression_kws` makes do without), so the same network, a 10x4
convolution and four depthwise-separable blocks of 64 channels, learns MNIST: 55,000 images, 5,000
others to choose by, the 10,000 test images looked at by `--final` alone. Half of what the emulated
Cortex-M4 executes for one inference goes. The result is compression_ds_cnn.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.compression import (
    accuracy,
    figures,
    halved,
    mnist,
    on_device,
    options,
    parts,
    real_data,
    store,
)
from benchmarks.compression_kws import ds_cnn
from edgepack.models.dataset import read_dataset
from edgepack.models.handle import ModelHandle
from edgepack.models.isolate import Task, run_task
from edgepack.models.keras_file import handle_from
from edgepack.models.load import load_model
from edgepack.models.progress import Progress

RESULT = Path(__file__).with_name("compression_ds_cnn.json")
HELD_OUT = 5000
EPOCHS = 8  # of the network that is pruned, and of what it becomes
RATE = 2e-3


def _fit(**more: Any) -> dict[str, Any]:
    return {"epochs": EPOCHS, "batch_size": 128, "learning_rate": RATE, **more}


_HALF = halved("taylor")
_TAUGHT = {"teacher": {"model": "original", "temperature": 4.0, "alpha": 0.7}}
CASES: dict[str, list[dict[str, Any]]] = {
    "control": [{"method": "finetune", "finetune": _fit()}],
    "half": [_HALF, {"method": "finetune", "finetune": _fit(**_TAUGHT)}],
}


def train(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: train the network from nothing. Arguments: `data`, `out`."""
    from edgepack.compress.finetune import finetune
    from edgepack.compress.options import FineTune
    from edgepack.models import keras_child

    keras_child.set_seed(0)
    model = ds_cnn((28, 28, 1), 10)
    config = FineTune(epochs=EPOCHS, batch_size=128, learning_rate=RATE)
    finetune(model, read_dataset(Path(arguments["data"])), config, seed=0)
    keras_child.save_keras(model, Path(arguments["out"]))
    return {"description": keras_child.describe(model)}


def trained(data: Path, work: Path) -> ModelHandle:
    """The network that is pruned."""
    path = work / "ds_cnn.keras"
    if path.is_file():
        return load_model(path)
    arguments = {"data": str(data), "out": str(path)}
    task = Task(
        "benchmarks.compression_ds_cnn:train", arguments, "training a DS-CNN", 3600.0, onednn=True
    )
    return handle_from(path, run_task(task)["description"])


def main() -> None:
    """Run the cases that are named, or all."""
    asked = options(__doc__ or "", list(CASES))
    data = parts(mnist(real_data()), HELD_OUT, asked.work, "mnist")
    start = trained(data.choose, asked.work)
    result = RESULT if asked.final else asked.work / RESULT.name
    for name in asked.cases:
        folder = f"ds_cnn {name}"
        store(result, name, figures(start, CASES[name], data, asked, folder))
    if asked.final:
        device = on_device(start.path, data.final, asked.work / "device")
        store(result, "as it is", {"test": accuracy(start.path, data.final), "device": device})


if __name__ == "__main__":
    main()
