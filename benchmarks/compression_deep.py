"""Deep Compression's experiment: LeNet-300-100 and LeNet-5 on MNIST, pruned, clustered, counted.

`python -m benchmarks.compression_deep [CASE ...] --work FOLDER` trains on 55,000 images and states
figures of 5,000 others, by which recipes are chosen; `--final` states those of the test split, and
flash and instructions on the emulated Cortex-M4. The result is compression_deep.json.

Bytes are counted as Han et al. 2016 do (arXiv:1510.00149): `edgepack.compress.account`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.compression import (
    Options,
    Parts,
    accuracy,
    compressed,
    mnist,
    on_device,
    options,
    parts,
    real_data,
    store,
)
from benchmarks.measure import Optimize
from edgepack.models.dataset import read_dataset
from edgepack.models.handle import ModelHandle
from edgepack.models.isolate import Task, run_task
from edgepack.models.keras_file import handle_from
from edgepack.models.progress import Progress
from edgepack.quantize.recipe import Scheme

RESULT = Path(__file__).with_name("compression_deep.json")
SEED = 0
HELD_OUT = 5000
EPOCHS = {"lenet300": 12, "lenet5": 6}  # of the networks that are compressed
Build = tuple[Scheme, Optimize]
PLAIN: tuple[Build, ...] = (("int8", "balanced"),)
CODED: tuple[Build, ...] = (("int8-per-tensor", "size"), ("int8-per-tensor", "balanced"))


@dataclass(frozen=True)
class Case:
    """What is done to which network, and how the result is quantized and built."""

    network: str
    steps: tuple[dict[str, Any], ...]
    builds: tuple[Build, ...] = CODED


def _fit(epochs: int, rate: float, *, shift: int = 0) -> dict[str, Any]:
    """Trained with the network before the first step as a teacher."""
    table: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": 256,
        "learning_rate": rate,
        "teacher": {"model": "original", "temperature": 4.0, "alpha": 0.7},
    }
    return {**table, "augment": {"shift": shift}} if shift else table


def _coded(
    sparsity: float,
    bits: int,
    layer_bits: dict[str, int],
    epochs: int,
    *,
    limit: float = 0.99,
    shift: int = 0,
) -> tuple[dict[str, Any], ...]:
    pruned = {
        "method": "prune_magnitude",
        "sparsity": sparsity,
        "scope": "global",
        "layer_limit": limit,
        "every": 20,
        "finetune": _fit(epochs, 3e-3, shift=shift),
    }
    shared = {
        "method": "cluster",
        "bits": bits,
        "layer_bits": layer_bits,
        "finetune": _fit(max(2, epochs // 4), 5e-4, shift=shift),
    }
    return pruned, shared


def _alone(epochs: int) -> tuple[dict[str, Any], ...]:
    """The same training of the uncompressed network, from labels alone."""
    fit = {"epochs": epochs, "batch_size": 128, "learning_rate": 1e-3}
    return ({"method": "finetune", "finetune": fit},)


_POLYNOMIAL = {
    "method": "prune_magnitude",
    "initial_sparsity": 0.5,
    "sparsity": 0.9,
    "every": 20,
    "finetune": _fit(16, 2e-3),
}
CASES: dict[str, Case] = {
    "lenet300 as it is": Case("lenet300", (), PLAIN),
    "lenet300 uncompressed": Case("lenet300", _alone(8), PLAIN),
    "lenet300 polynomial 50-90": Case("lenet300", (_POLYNOMIAL,), ()),
    "lenet300 95, 3 bits": Case("lenet300", _coded(0.95, 3, {"*2/kernel": 4}, 24)),
    "lenet300 96, 3 bits": Case("lenet300", _coded(0.96, 3, {"*2/kernel": 4}, 16)),
    "lenet300 95, 3 bits, shifted": Case(
        "lenet300", _coded(0.95, 3, {"*2/kernel": 4}, 16, shift=1)
    ),
    "lenet300 95, 3 bits, longer": Case("lenet300", _coded(0.95, 3, {"*2/kernel": 4}, 60, shift=1)),
    "lenet300 93, 3 bits, shifted": Case(
        "lenet300", _coded(0.93, 3, {"*2/kernel": 4}, 14, shift=1)
    ),
    "lenet5 as it is": Case("lenet5", (), PLAIN),
    "lenet5 uncompressed": Case("lenet5", _alone(4), PLAIN),
    "lenet5 94, 4 bits, longer": Case("lenet5", _coded(0.94, 4, {}, 32, shift=1)),
    "lenet5 93, 4 bits, shifted": Case("lenet5", _coded(0.93, 4, {}, 20, shift=1)),
    "lenet5 96, 3 bits, shifted": Case("lenet5", _coded(0.96, 3, {"conv*/kernel": 4}, 8, shift=1)),
    "lenet5 97, 3 bits, longer": Case("lenet5", _coded(0.972, 3, {"conv*/kernel": 4}, 40, shift=1)),
    "lenet5 98, 3 bits": Case("lenet5", _coded(0.98, 3, {"conv*/kernel": 4}, 6)),
    "lenet5 98, 3 bits, shifted": Case("lenet5", _coded(0.98, 3, {"conv*/kernel": 4}, 8, shift=1)),
}


def train(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: train a network from nothing. Arguments: `name`, `data`, `out`."""
    import keras
    from keras import layers

    from edgepack.compress.finetune import finetune
    from edgepack.compress.options import FineTune
    from edgepack.models import keras_child

    keras_child.set_seed(SEED)
    made = [keras.Input((28, 28, 1), name="image")]
    if arguments["name"] == "lenet5":  # Caffe's: 20 and 50 filters, 431,080 parameters
        for index, filters in enumerate((20, 50)):
            made += [layers.Conv2D(filters, 5, name=f"conv{index}"), layers.MaxPooling2D(2)]
        made += [layers.Flatten(), layers.Dense(500, activation="relu", name="dense0")]
    else:
        made += [layers.Flatten(), layers.Dense(300, activation="relu", name="dense0")]
        made += [layers.Dense(100, activation="relu", name="dense1")]
    made.append(layers.Dense(10, activation="softmax", name="dense2"))
    model = keras.Sequential(made)
    config = FineTune(epochs=EPOCHS[arguments["name"]], batch_size=128, learning_rate=1e-3)
    finetune(model, read_dataset(Path(arguments["data"])), config, seed=SEED)
    keras_child.save_keras(model, Path(arguments["out"]))
    return {"description": keras_child.describe(model)}


def trained(name: str, data: Path, work: Path) -> ModelHandle:
    """The network that all its cases start from."""
    from edgepack.models.load import load_model

    path = work / f"{name}.keras"
    if path.is_file():
        return load_model(path)
    arguments = {"name": name, "data": str(data), "out": str(path)}
    task = Task("benchmarks.compression_deep:train", arguments, f"training {name}", 1800.0)
    return handle_from(path, run_task(task)["description"])


def one(name: str, data: Parts, asked: Options) -> dict[str, Any]:
    """All figures of one case; without steps, those of the network that the others start from."""
    case = CASES[name]
    network = trained(case.network, data.choose, asked.work)
    if not case.steps:
        return _final(network, case, data, asked)
    done, minutes = compressed(network, list(case.steps), data.choose, asked, name)
    reports = done.report["steps"]
    found: dict[str, Any] = {
        "steps": list(case.steps),
        "minutes": round(minutes, 1),
        "held out before": reports[0]["before"]["test"]["value"],
        "held out": reports[-1]["after"]["test"]["value"],
        "nonzero": reports[-1]["after"]["nonzero_parameters"],
        "coded": done.report.get("coded"),
    }
    if asked.final:
        found["test before"] = accuracy(network.path, data.final)
    return {**found, **_final(done.handle, case, data, asked)}


def _final(network: ModelHandle, case: Case, data: Parts, asked: Options) -> dict[str, Any]:
    """Figures of the test split, and of the device; nothing unless asked for."""
    if not asked.final:
        return {}
    folder = asked.work / "device"
    return {
        "test": accuracy(network.path, data.final),
        "device": [on_device(network.path, data.final, folder, *build) for build in case.builds],
    }


def main() -> None:
    """Run the cases that are named, or all."""
    asked = options(__doc__ or "", list(CASES))
    data = parts(mnist(real_data()), HELD_OUT, asked.work, "mnist")
    for name in asked.cases:
        store(RESULT if asked.final else asked.work / RESULT.name, name, one(name, data, asked))


if __name__ == "__main__":
    main()
