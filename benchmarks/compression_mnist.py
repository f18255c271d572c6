"""Compression of LeNet-300-100 and LeNet-5 on MNIST: what it costs in accuracy, what it saves.

`python -m benchmarks.compression_mnist [CASE ...]` trains both networks, runs the recipes below,
quantizes, builds for the emulated Cortex-M4 and counts instructions. Ten minutes on two cores; the
result is compression_mnist.json. No step looks at the test images, but
two recipes, low rank and 92 %, were chosen after a look at their score.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.compression import mnist
from benchmarks.compression_deep import trained as trained
from benchmarks.measure import Optimize, data_dir, measure
from edgepack.compress.apply import STEPS, apply
from edgepack.models.dataset import write_dataset
from edgepack.models.handle import ModelHandle
from edgepack.pipeline.quantize import Asked, quantize_any
from edgepack.quantize.recipe import QuantizeRecipe, Scheme

RESULT = Path(__file__).with_name("compression_mnist.json")
TARGET = "netduinoplus2"
SEED = 0


def _fit(epochs: int, rate: float = 1e-3) -> dict[str, Any]:
    return {"epochs": epochs, "batch_size": 128, "learning_rate": rate}


def _coded(sparsity: float, bits: int, layer_bits: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "method": "prune_magnitude",
            "sparsity": sparsity,
            "scope": "global",
            "every": 50,
            "finetune": _fit(12),
        },
        {
            "method": "cluster",
            "bits": bits,
            "layer_bits": layer_bits,
            "finetune": _fit(3, 1e-4),
        },
    ]


# by network and name: the steps, and the ways to quantize and build the result
PLAIN: tuple[tuple[Scheme, Optimize], ...] = (("int8", "balanced"),)
CODED: tuple[tuple[Scheme, Optimize], ...] = (
    ("int8-per-tensor", "size"),
    ("int8-per-tensor", "balanced"),
)
CASES: dict[str, tuple[str, list[dict[str, Any]], tuple[tuple[Scheme, Optimize], ...]]] = {
    "lenet300 int8": ("lenet300", [{"method": "finetune", "finetune": _fit(6)}], PLAIN),
    "lenet300 polynomial 50-90": (
        "lenet300",
        [
            {
                "method": "prune_magnitude",
                "initial_sparsity": 0.5,
                "sparsity": 0.9,
                "every": 50,
                "finetune": _fit(6),
            }
        ],
        (),
    ),
    "lenet300 low rank": (
        "lenet300",
        [{"method": "low_rank", "budget": 0.19, "skip": ["dense2"], "finetune": _fit(12)}],
        PLAIN,
    ),
    "lenet300 deep compression": ("lenet300", _coded(0.96, 3, {"*2/kernel": 4}), CODED),
    "lenet300 deep compression, mild": ("lenet300", _coded(0.92, 4, {}), CODED[:1]),
    "lenet5 int8": ("lenet5", [{"method": "finetune", "finetune": _fit(3)}], PLAIN),
    "lenet5 deep compression": ("lenet5", _coded(0.97, 3, {"conv*/kernel": 4}), CODED),
}


def one(case: str, network: ModelHandle, data: Path, work: Path) -> dict[str, Any]:
    """All figures of one case."""
    _, steps, builds = CASES[case]
    folder = work / case.replace(" ", "-")
    started = time.perf_counter()
    done = apply(network, STEPS.validate_python(steps), data, folder)
    reports = done.report["steps"]
    found: dict[str, Any] = {
        "steps": steps,
        "seconds": round(time.perf_counter() - started),
        "before": reports[0]["before"],
        "after": reports[-1]["after"],
        "sparsity": reports[0]["sparsity"],
        "coded": done.report.get("coded"),
        "layers": reports[0]["layers"],
    }
    for scheme, optimize in builds:
        settings = QuantizeRecipe(scheme=scheme)
        quantized = quantize_any(Asked(done.handle.path, str(data), settings))
        # the name decides the names of symbols, whose length must not differ between cases
        path = folder / "net.tflite"
        path.write_bytes(quantized.data)
        figures = measure(path, TARGET, folder, full_image=False, optimize=optimize)
        found[f"{scheme}, {optimize}"] = {
            "accuracy": quantized.report["evaluation"]["quantized"]["value"],
            **figures.as_dict(),
        }
    return found


def main() -> None:
    """Run the cases that are named, or all, and write the result."""
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real data is absent: set EDGEPACK_DATA")
    result: dict[str, Any] = {"target": TARGET, "seed": SEED, "cases": {}}
    names = sys.argv[1:] or list(CASES)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        data = work / "mnist.npz"
        write_dataset(data, mnist(folder))
        networks: dict[str, ModelHandle] = {}
        for case in names:
            name = CASES[case][0]
            networks[name] = networks.get(name) or trained(name, data, work)
            made = one(case, networks[name], data, work)
            if RESULT.is_file():  # other cases may have run meanwhile
                result["cases"] = json.loads(RESULT.read_text(encoding="utf-8"))["cases"]
            result["cases"][case] = made
            print(case, json.dumps(made), flush=True)
            RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
