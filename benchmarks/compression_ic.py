"""Structured pruning of MLPerf Tiny's image classifier on CIFAR-10, as JPEG files hold it.

`python -m benchmarks.compression_ic [CASE ...]` fine-tunes the network as it is and pruned ones
for the same number of epochs, so that what training alone brings is told apart, quantizes them, and
counts instructions on the emulated Cortex-M4. It takes some minutes and writes compression_ic.json.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import data_dir, measure
from edgepack.compress.apply import STEPS, apply
from edgepack.models.dataset import Dataset, Samples, write_dataset
from edgepack.models.load import load_model
from edgepack.quantize.int8 import quantize_int8
from edgepack.quantize.recipe import QuantizeRecipe

RESULT = Path(__file__).with_name("compression_ic.json")
TARGET = "netduinoplus2"
EPOCHS = 2
TRAIN_IMAGES = 12_000  # of 50,000, for time; the test split is whole
_FIT = {"epochs": EPOCHS, "batch_size": 64, "learning_rate": 1e-3}
CASES: dict[str, list[dict[str, Any]]] = {
    "pruned evenly": [
        {
            "method": "prune_structured",
            "ratio": 0.5,
            "of": "macs",
            "multiple": 4,
            "finetune": _FIT,
        }
    ],
    "pruned by sensitivity": [
        {
            "method": "prune_structured",
            "ratio": 0.55,
            "of": "macs",
            "scope": "sensitivity",
            "criterion": "taylor",
            "multiple": 4,
            "samples": 400,
            "finetune": _FIT,
        }
    ],
    "whole": [{"method": "finetune", "finetune": _FIT}],
}


def decode(path: Path) -> Dataset:
    """CIFAR-10 from its JPEG bytes: pixels 0 to 255 as uint8."""
    from PIL import Image

    splits = {}
    with np.load(path) as archive:
        for split in ("train", "test"):
            data, offsets = archive[f"{split}_bytes"].tobytes(), archive[f"{split}_offsets"]
            images = [
                np.asarray(Image.open(io.BytesIO(data[a:b])).convert("RGB"))
                for a, b in itertools.pairwise(offsets)
            ]
            splits[split] = Samples((np.stack(images),), archive[f"y_{split}"].astype(np.int64))
    drawn = np.random.default_rng(0).permutation(len(splits["train"]))[:TRAIN_IMAGES]
    return Dataset(splits["train"].take(np.sort(drawn)), splits["test"])


def main() -> None:
    """Run every case and write the table."""
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real models is absent: set EDGEPACK_DATA")
    network = folder / "mlperf_tiny" / "ic.h5"
    result: dict[str, Any] = {"target": TARGET, "epochs": EPOCHS, "train_images": TRAIN_IMAGES}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        data = work / "cifar.npz"
        write_dataset(data, decode(folder / "cifar10" / "cifar10_jpeg.npz"))
        for name in sys.argv[1:] or CASES:
            made = one(network, CASES[name], data, work / name.replace(" ", "-"))
            if RESULT.is_file():
                result = json.loads(RESULT.read_text(encoding="utf-8"))
            result[name] = made
            print(name, json.dumps(result[name]), flush=True)
            RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    original = measure(folder / "mlperf_tiny" / "ic_int8.tflite", TARGET, Path(tempfile.mkdtemp()))
    result["reference int8"] = original.as_dict()
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def one(network: Path, steps: list[dict[str, Any]], data: Path, folder: Path) -> dict[str, Any]:
    """Compress, quantize, build, run: the figures of one case."""
    started = time.perf_counter()
    done = apply(
        load_model(network),
        STEPS.validate_python(steps),
        data,
        folder,
        progress=lambda stage, share, text: print(stage, share, text, file=sys.stderr, flush=True),
        timeout=7200.0,
    )
    seconds = time.perf_counter() - started
    quantized = quantize_int8(
        done.handle, QuantizeRecipe(calibration_samples=200), data, folder / "int8"
    )
    figures = measure(quantized.handle.path, TARGET, folder, full_image=False)
    first, last = done.report["steps"][0]["before"], done.report["steps"][-1]["after"]
    return {
        "steps": steps,
        "seconds": round(seconds),
        "before": first,
        "after": last,
        "int8": quantized.recipe["test"],
        "channels": {
            layer["name"]: layer["note"] for s in done.report["steps"] for layer in s["layers"]
        },
        "device": figures.as_dict(),
    }


if __name__ == "__main__":
    main()
