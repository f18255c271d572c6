"""Compression of MLPerf Tiny's image classifier on CIFAR-10, as JPEG files hold it.

`python -m benchmarks.compression_ic [CASE ...] --work FOLDER` trains on 45,000 images and states
figures of 5,000 other training images (which the published network has seen, as non-JPEG);
`--final` states those of the test split, and flash and instructions on the emulated Cortex-M4.
`control` is the uncut network with the same kind of training: it shows what training alone brings,
and is the teacher of the others, which start from it. The result is compression_ic.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.compression import (
    accuracy,
    cifar,
    figures,
    halved,
    on_device,
    options,
    parts,
    real_data,
    store,
)
from edgepack.models.load import load_model

RESULT = Path(__file__).with_name("compression_ic.json")
HELD_OUT = 5000
CONTROL = "control"
_EPOCHS = 40


def fit(epochs: int, rate: float, *, taught: bool = True) -> dict[str, Any]:
    """A `finetune` table."""
    table: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": 128,
        "learning_rate": rate,
        "augment": {"flip": True, "shift": 2},
    }
    if taught:
        table["teacher"] = {"model": "original", "temperature": 4.0, "alpha": 0.9}
    return table


HALF = halved("taylor")
CASES: dict[str, list[dict[str, Any]]] = {
    CONTROL: [{"method": "finetune", "finetune": fit(_EPOCHS, 1e-3, taught=False)}],
    "structured and distilled": [
        HALF,
        {"method": "finetune", "finetune": fit(_EPOCHS, 2e-3)},
    ],
}


def main() -> None:
    """Run the cases that are named, or all."""
    asked = options(__doc__ or "", list(CASES))
    folder = real_data()
    network = folder / "mlperf_tiny" / "ic.h5"
    data = parts(cifar(folder), HELD_OUT, asked.work, "cifar")
    result = RESULT if asked.final else asked.work / RESULT.name
    for name in asked.cases:
        start = network if name == CONTROL else asked.work / CONTROL / "model.keras"
        store(result, name, figures(load_model(start), CASES[name], data, asked, name))
    if asked.final:
        device = on_device(network, data.final, asked.work / "device")
        store(result, "as it is", {"test": accuracy(network, data.final), "device": device})


if __name__ == "__main__":
    main()
