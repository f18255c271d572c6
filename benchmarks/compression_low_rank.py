"""Products of smaller layers in the place of large ones: LeNet-300-100 and LeNet-5 on MNIST.

`python -m benchmarks.compression_low_rank [CASE ...] --work FOLDER` trains both networks,
compresses them and states figures of held-out training images, by which a case of each network is
chosen; `--final` states those of the test images and builds for the emulated Cortex-M4: name the
cases that were chosen, and the uncompressed ones. `precision` times training in 16 bits on this
computer. The result is compression_low_rank.json; all takes half an hour on two cores that others
use too.

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
from edgepack.compress.apply import STEPS, apply
from edgepack.models.dataset import Dataset, read_dataset, write_dataset
from edgepack.models.load import load_model

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
    "lenet300 uncompressed": ("lenet300", [{"method": "finetune", "finetune": _fit(8)}]),
    "lenet300 budget": ("lenet300", [_split(_fit(8), budget=0.185)]),
    "lenet300 budget, adapters": (
        "lenet300",
        [_split(_fit(8, lora_rank=4), budget=0.185)],
    ),
    "lenet300 search": ("lenet300", [_split(_fit(8), max_drop=0.03)]),
    "lenet5 uncompressed": ("lenet5", [{"method": "finetune", "finetune": _fit(4)}]),
    "lenet5 tucker2": ("lenet5", [_split(_fit(4), max_drop=0.03)]),
    "lenet5 cp": ("lenet5", [_split(_fit(4), max_drop=0.03, spatial="cp")]),
    "lenet5 separable": (
        "lenet5",
        [
            {"method": "replace_conv", "layers": ["conv1"], "finetune": _NONE},
            _split(_fit(4), max_drop=0.03, kinds=["dense"]),
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
    if asked.final:
        found["test before"] = accuracy(base.path, data.final)
        found["test"] = accuracy(done.handle.path, data.final)
        found["device"] = on_device(done.handle.path, data.final, asked.work / "device")
    return found


class _Clock:
    """A progress that notes when steps are told of."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def __call__(self, stage: str, fraction: float | None, message: str) -> None:
        if message.startswith("step"):
            self.ends.append(time.perf_counter())


def precision(data: Parts, asked: Options) -> dict[str, Any]:
    """Seconds of three epochs of LeNet-5 on 2,000 images after a first one, and the score."""
    base, few = trained("lenet5", data.choose, asked.work), asked.work / "few.npz"
    whole = read_dataset(data.choose)
    write_dataset(few, Dataset(whole.train.take(np.arange(2000)), whole.test))
    found: dict[str, Any] = {}
    for kind in ("float32", "bfloat16", "float16"):
        clock = _Clock()
        table = {
            "method": "finetune",
            "finetune": {"epochs": 4, "batch_size": 50, "precision": kind},
        }
        steps = STEPS.validate_python([table])
        done = apply(load_model(base.path), steps, few, asked.work / kind, progress=clock)
        # 160 steps are told of every third: from the 39th, in the end of the first epoch
        found[kind] = {
            "seconds": round(clock.ends[-1] - clock.ends[12], 2),
            "held out": done.report["steps"][0]["after"]["test"]["value"],
        }
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
