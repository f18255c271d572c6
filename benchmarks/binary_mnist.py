"""Small networks on MNIST with weights of one bit and less, beside themselves in int8.

    python -m benchmarks.binary_mnist [--work FOLDER] [--epochs N] [CASE ...]

Trains the float networks, a dense and a convolutional one, on 55,000 of the 60,000 training images,
then every case through the simulation of its integer kernels. The learning rate was chosen on the
other 5,000 images; nothing depends on the 10,000 test images. Each model is built for the emulated
Cortex-M4 and run there, against TensorFlow Lite Micro. The result is binary_mnist.json; trained
models are kept in --work, and what was trained there already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import data_dir, measure
from edgepack.models.dataset import Dataset, Samples, read_dataset, write_dataset
from edgepack.models.isolate import Task, run_task
from edgepack.models.progress import Progress
from edgepack.pipeline.quantize import Asked, oracle_outputs, quantize_any
from edgepack.quantize.qat import stored_inputs
from edgepack.quantize.qat_options import QatOptions
from edgepack.quantize.recipe import QuantizeRecipe, RuleEntry

RESULT = Path(__file__).with_name("binary_mnist.json")
TARGET = "netduinoplus2"
SEED = 0
FLOAT_EPOCHS = 3
VALIDATION = 5000  # the last of the training images
QAT = QatOptions(batch_size=128, learning_rate=1e-2, seed=SEED)
EPOCHS = {"dense": 8, "conv": 3}


def _bits(convolutions: str, dense: str, last: str) -> tuple[RuleEntry, ...]:
    """Signs between the layers, int8 at both ends."""
    return (
        RuleEntry(f"{convolutions}-sign", op="CONV_2D"),
        RuleEntry(f"{dense}-sign", op="FULLY_CONNECTED"),
        RuleEntry(last, op="FULLY_CONNECTED", scope="scores"),
    )


SCHEMES: dict[str, QuantizeRecipe] = {
    "int8": QuantizeRecipe(),
    "binary": QuantizeRecipe(recipe=_bits("binary", "binary", "binary"), qat=QAT),
    "ternary": QuantizeRecipe(recipe=_bits("ternary", "ternary", "ternary"), qat=QAT),
    "subbit": QuantizeRecipe(recipe=_bits("binary", "subbit", "binary"), qat=QAT),
}
CASES = tuple(f"{network} {scheme}" for network in EPOCHS for scheme in SCHEMES)


def _recipe(network: str, scheme: str) -> QuantizeRecipe:
    found = SCHEMES[scheme]
    if found.qat is None:
        return found
    return replace(found, qat=replace(found.qat, epochs=EPOCHS[network]))


def train(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: train a float network. Arguments: `name`, `data`, `out`."""
    import keras
    from keras import layers

    from edgepack.compress.finetune import finetune
    from edgepack.compress.options import FineTune
    from edgepack.models import keras_child

    keras_child.set_seed(SEED)
    parts = [keras.Input((28, 28, 1), name="image")]
    widths: tuple[int, ...] = (256, 128)
    if arguments["name"] == "conv":
        widths = (128,)
        for index, filters in enumerate((16, 32)):
            parts += [
                layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{index}"),
                *_normal(f"conv{index}"),
                layers.MaxPooling2D(2, name=f"pool{index}"),
            ]
    parts.append(layers.Flatten())
    for index, width in enumerate(widths):
        parts += [layers.Dense(width, use_bias=False, name=f"dense{index}")]
        parts += _normal(f"dense{index}")
    parts.append(layers.Dense(10, activation="softmax", name="scores"))
    model = keras.Sequential(parts)
    config = FineTune(epochs=FLOAT_EPOCHS, batch_size=128, learning_rate=1e-3)
    finetune(model, read_dataset(Path(arguments["data"])), config, seed=SEED)
    keras_child.save_keras(model, Path(arguments["out"]))
    return {}


def _normal(name: str) -> list[Any]:
    from keras import layers

    return [layers.BatchNormalization(name=f"{name}_norm"), layers.ReLU(name=f"{name}_relu")]


def write_mnist(folder: Path, path: Path) -> Samples:
    """Training and test images, as floats from 0 to 1; returns the validation images."""
    with np.load(folder / "mnist" / "mnist.npz") as arrays:
        x, y = arrays["x_train"], arrays["y_train"].astype(np.int64)
        test = Samples((_real(arrays["x_test"]),), arrays["y_test"].astype(np.int64))
    count = len(x) - VALIDATION
    write_dataset(path, Dataset(Samples((_real(x[:count]),), y[:count]), test))
    return Samples((_real(x[count:]),), y[count:])


def _real(pixels: Any) -> Any:
    return (pixels[..., None] / np.float32(255)).astype(np.float32)


def one(name: str, network: Path, data: Path, validation: Samples, work: Path) -> dict[str, Any]:
    """Train and quantize a case; its scores and how exactly it was simulated."""
    path = work / f"{name.replace(' ', '_')}.tflite"
    report_path = path.with_suffix(".json")
    if not report_path.is_file():
        started = time.perf_counter()
        done = quantize_any(Asked(network, str(data), _recipe(*name.split())))
        path.write_bytes(done.data)
        found: dict[str, Any] = {"seconds": round(time.perf_counter() - started, 1)}
        if "qat" in done.report:
            keys = ("agreement", "epochs")
            found |= {key: done.report["qat"][key] for key in keys}
        found["schemes"] = {f"{o['op']} {o['name']}": o["scheme"] for o in done.report["operators"]}
        report_path.write_text(json.dumps(found), encoding="utf-8")
    found = json.loads(report_path.read_text("utf-8"))
    for split, samples in (("validation", validation), ("test", read_dataset(data).test)):
        found[split] = _score(path.read_bytes(), samples)
    return found


def _score(model: bytes, samples: Samples) -> float:
    """Share of right answers of the integer model, by TensorFlow Lite Micro's kernels."""
    assert samples.labels is not None
    _, outputs = oracle_outputs(model, stored_inputs(model, samples))
    return float((outputs[0].argmax(axis=1) == samples.labels).mean())


def on_board(path: Path, work: Path) -> dict[str, Any]:
    """Build and run a model; its layers' constants, image, memory and instructions."""
    figures = measure(path, TARGET, work, full_image=False)
    plan = json.loads((work / f"{path.stem}-{TARGET}" / "plan.json").read_text("utf-8"))
    layers = [
        {k: layer[k] for k in ("op", "kernel", "macs", "weight_bytes", "table_bytes")}
        for layer in plan["graphs"][0]["layers"]
    ]
    weighted = [x for x in layers if x["op"] in ("CONV_2D", "FULLY_CONNECTED")]
    return {
        "instructions": figures.instructions,
        "flash": figures.flash,
        "ram": figures.ram,
        "arena": figures.arena,
        "mismatched_bytes": figures.mismatched_bytes,
        # all constants of the layers with weights: weights or indices, books, biases, thresholds,
        # multipliers
        "layer_bytes": sum(x["weight_bytes"] + x["table_bytes"] for x in weighted),
        "layers": layers,
    }


def ratios(cases: dict[str, Any]) -> dict[str, float]:
    """By case: the bytes of the int8 network's layers over its own."""
    found = {}
    for name, case in cases.items():
        plain = cases.get(f"{name.split()[0]} int8")
        if plain is not None:
            share = plain["board"]["layer_bytes"] / case["board"]["layer_bytes"]
            found[name] = round(share, 2)
    return found


def main() -> None:
    """Run the cases that are named, or all, and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.binary_mnist")
    parser.add_argument("case", nargs="*", choices=[[], *CASES])
    parser.add_argument("--work", type=Path, help="where trained networks are kept")
    given = parser.parse_args()
    folder = data_dir()
    if folder is None:
        sys.exit("the folder of real data is absent: set EDGEPACK_DATA")
    result: dict[str, Any] = {"target": TARGET, "seed": SEED, "cases": {}}
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        data = work / "mnist.npz"
        validation = write_mnist(folder, data)
        for name in given.case or CASES:
            network = work / f"{name.split()[0]}.keras"
            if not network.is_file():
                arguments = {"name": name.split()[0], "data": str(data), "out": str(network)}
                run_task(Task("benchmarks.binary_mnist:train", arguments, "training", 1800.0))
            case = one(name, network, data, validation, work)
            case["board"] = on_board(work / f"{name.replace(' ', '_')}.tflite", Path(scratch))
            if RESULT.is_file():  # of another run, perhaps of this minute
                result["cases"] = json.loads(RESULT.read_text(encoding="utf-8"))["cases"]
            result["cases"][name] = case
            result["int8_bytes_over_own"] = ratios(result["cases"])
            print(name, json.dumps(case), flush=True)
            RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
