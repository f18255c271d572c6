"""Products of smaller layers in the place of large ones: LeNet-300-100 and LeNet-5 on MNIST.

`python -m benchmarks.compression_low_rank [CASE ...] --work FOLDER` trains both networks,
compresses them, builds for the emulated Cortex-M4 and states figures of held-out training images,
by which a case of each network is chosen; `--final` states those of the test images: name the cases
that were chosen, and the uncompressed ones. `precision` times training in 16 bits on this computer.
The result is compression_low_rank.json; all takes half an hour on two cores that others use too.

LeNet-300-100 learns from 55,000 images, LeNet-5 from 20,000 for time. `uncompressed` goes on
training the network for as many epochs as the others get after being split.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

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
from benchmarks.compression_deep import trained
from edgepack.compress.options import FineTune
from edgepack.models.dataset import Dataset, read_dataset
from edgepack.models.isolate import Task, run_task
from edgepack.models.progress import Progress

RESULT = Path(__file__).with_name("compression_low_rank.json")
HELD_OUT = {"lenet300": 5_000, "lenet5": 2_000}
IMAGES = {"lenet300": 60_000, "lenet5": 22_000}
PRECISION = "precision"


def _fit(epochs: int, rate: float = 1e-3, **more: Any) -> dict[str, Any]:
    taught = {"model": "original", "temperature": 4.0, "alpha": 0.7}
    table = {"epochs": epochs, "batch_size": 128, "learning_rate": rate, "teacher": taught}
    return {**table, **more}


def _split(fit: dict[str, Any], **demand: Any) -> dict[str, Any]:
    return {"method": "low_rank", "skip": ["dense2"], "finetune": fit, **demand}


_NONE = {"epochs": 0}
CASES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "lenet300 uncompressed": ("lenet300", [{"method": "finetune", "finetune": _fit(6)}]),
    "lenet300 budget": ("lenet300", [_split(_fit(6), budget=0.185)]),
    "lenet300 budget, adapters": (
        "lenet300",
        [_split(_fit(6, lora_rank=4), budget=0.185)],
    ),
    "lenet300 search": ("lenet300", [_split(_fit(6), max_drop=0.03)]),
    "lenet5 uncompressed": ("lenet5", [{"method": "finetune", "finetune": _fit(3)}]),
    "lenet5 tucker2": ("lenet5", [_split(_fit(3), max_drop=0.03)]),
    "lenet5 cp": ("lenet5", [_split(_fit(3), max_drop=0.03, spatial="cp")]),
    "lenet5 cp, first layer whole": (
        "lenet5",
        [_split(_fit(3), max_drop=0.03, spatial="cp", skip=["conv0", "dense2"])],
    ),
    "lenet5 separable": (
        "lenet5",
        [
            {"method": "replace_conv", "layers": ["conv1"], "finetune": _NONE},
            _split(_fit(3), max_drop=0.03, kinds=["dense"]),
        ],
    ),
}


def dense_weights(layers: dict[str, int], steps: list[dict[str, Any]]) -> tuple[int, int]:
    """Weights of the Dense kernels before and after, without those that no step could touch."""
    left = dict(layers)
    for step in steps:
        for change in step["layers"]:
            if change["name"] in left:
                left[change["name"]] = change["elements"]
    return sum(layers.values()), sum(left.values())


def one(name: str, data: Parts, asked: Options) -> dict[str, Any]:
    """All figures of one case."""
    network, steps = CASES[name]
    base = trained(network, data.choose, asked.work)
    done, minutes = compressed(base, steps, data.choose, asked, name)
    reports = done.report["steps"]
    sizes = {
        "lenet300": {"dense0": 784 * 300, "dense1": 300 * 100, "dense2": 100 * 10},
        "lenet5": {"dense0": 800 * 500, "dense2": 500 * 10},
    }[network]
    before, after = dense_weights(sizes, reports)
    found: dict[str, Any] = {
        "steps": steps,
        "minutes": round(minutes, 1),
        "held out before": reports[0]["before"]["test"]["value"],
        "held out": reports[-1]["after"]["test"]["value"],
        "macs": [reports[0]["before"]["macs"], reports[-1]["after"]["macs"]],
        "parameters": [reports[0]["before"]["parameters"], reports[-1]["after"]["parameters"]],
        "dense weights": [before, after, round(before / after, 2)],
        "layers": {c["name"]: c["note"] for r in reports for c in r["layers"]},
    }
    held = "held out"
    if asked.final:
        held = "test"
        found["test before"] = accuracy(base.path, data.final)
        found["test"] = accuracy(done.handle.path, data.final)
    measured = data.final if asked.final else data.choose
    figures = on_device(done.handle.path, measured, asked.work / f"device {name}")
    found[f"device, {held}"] = figures
    return found


def timed(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: train a network in a precision. Arguments: `model`, `data`, `precision`."""
    from edgepack.compress.finetune import finetune
    from edgepack.models import keras_child
    from edgepack.models.keras_run import score

    keras_child.set_seed(0)
    model = keras_child.load_keras(Path(arguments["model"]))
    whole = read_dataset(Path(arguments["data"]))
    few = Dataset(whole.train.take(np.arange(1000)), whole.test)
    one_epoch, two = (
        FineTune(epochs=n, batch_size=50, precision=arguments["precision"]) for n in (1, 2)
    )
    finetune(model, few, one_epoch, seed=0)
    cpu, wall = time.process_time(), time.perf_counter()
    finetune(model, few, two, seed=1)
    found = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
    metric = score(model, few.test)
    return {**found, "held out": None if metric is None else metric.value}


def precision(data: Parts, asked: Options) -> dict[str, Any]:
    """LeNet-5 on 1,000 images: processor seconds of two epochs after a first one, and the score.

    Seconds count both cores; those of the clock depend on what else the computer does.
    """
    base, found = trained("lenet5", data.choose, asked.work), {}
    for onednn in (True, False):
        for kind in ("float32", "bfloat16", "float16"):
            arguments = {"model": str(base.path), "data": str(data.choose), "precision": kind}
            task = Task(
                "benchmarks.compression_low_rank:timed", arguments, kind, 1800.0, onednn=onednn
            )
            found[f"{kind}, {'with' if onednn else 'without'} oneDNN"] = run_task(task)
    return found


def main() -> None:
    """Run the cases that are named, or all."""
    asked = options(__doc__ or "", [*CASES, PRECISION])
    whole, data = mnist(real_data()), {}
    for network, held_out in HELD_OUT.items():
        work = asked.work / network
        work.mkdir(exist_ok=True)
        order = np.random.default_rng(1).permutation(len(whole.train))[: IMAGES[network]]
        data[network] = parts(
            Dataset(whole.train.take(np.sort(order)), whole.test), held_out, work, "mnist"
        )
    for name in asked.cases:
        figures = (
            precision(data["lenet5"], asked)
            if name == PRECISION
            else one(name, data[CASES[name][0]], asked)
        )
        store(RESULT, name, figures)


if __name__ == "__main__":
    main()
