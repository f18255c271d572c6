"""Structured pruning of MLPerf Tiny's image classifier to budgets on the emulated Cortex-M4.

`python -m benchmarks.compression_budget [CASE ...]` removes channels until the built network takes
the asked share of instructions, flash or RAM, and writes compression_budget.json: what each step
reports of its own last build, and how many networks it built. Nothing is trained: the question is
how close the device comes to the budget, not what is left of the accuracy
(benchmarks/compression_ic.py).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import cifar
from benchmarks.measure import data_dir
from edgepack.compress.apply import STEPS, apply
from edgepack.models.dataset import Dataset, Samples, write_dataset
from edgepack.models.load import load_model
from edgepack.pipeline.device_meter import METER

RESULT = Path(__file__).with_name("compression_budget.json")
TARGET = "netduinoplus2"
_SAMPLES = 400
CASES: dict[str, dict[str, Any]] = {
    "instructions 0.5, layer": {"budget": {"instructions": 0.5}},
    "instructions 0.5, benefit": {
        "budget": {"instructions": 0.5}, "scope": "benefit", "multiple": 4,
    },
    "flash 0.6, layer": {"budget": {"flash": 0.6}},
    "ram 0.8, layer": {"budget": {"ram": 0.8}},
    "all three, activation": {
        "budget": {"instructions": 0.7, "flash": 0.7, "ram": 0.9}, "criterion": "activation",
    },
}  # fmt: skip


def _data(folder: Path, path: Path) -> None:
    whole = cifar(folder)
    few = np.arange(_SAMPLES)
    parts: list[Samples] = [whole.train.take(few), whole.test.take(few)]
    write_dataset(path, Dataset(parts[0], parts[1]))


class _Told:
    """Remembers what the search for the budget built."""

    def __init__(self) -> None:
        self.tries: list[str] = []

    def __call__(self, stage: str, fraction: float | None, message: str) -> None:
        if stage == "device" and "used" in message:
            self.tries.append(message)


def main() -> None:
    """Run the cases that are named, or all, and write the result."""
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real models is absent: set EDGEPACK_DATA")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _data(folder, work / "data.npz")
        for case in sys.argv[1:] or list(CASES):
            step = {
                "method": "prune_structured", "target": TARGET, "samples": _SAMPLES,
                "finetune": {"epochs": 0}, **CASES[case],
            }  # fmt: skip
            told = _Told()
            started = time.perf_counter()
            done = apply(
                load_model(folder / "mlperf_tiny" / "ic.h5"),
                STEPS.validate_python([step]),
                work / "data.npz",
                work / "out",
                progress=told,
                meter=METER,
            )
            report = done.report["steps"][0]
            result = json.loads(RESULT.read_text("utf-8")) if RESULT.is_file() else {}
            result[case] = {
                "step": step,
                "seconds": round(time.perf_counter() - started),
                "tries": told.tries,
                "saving": report["device_saving"].rpartition("built as")[2]
                or report["device_saving"],
                "macs": [report[when]["macs"] for when in ("before", "after")],
                "channels": {layer["name"]: layer["note"] for layer in report["layers"]},
            }
            RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(case, json.dumps(result[case]), flush=True)


if __name__ == "__main__":
    main()
