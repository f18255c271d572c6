"""Structured pruning of MLPerf Tiny's keyword spotter, a DS-CNN, with 200 samples to learn from.

`python -m benchmarks.compression_kws [CASE ...] --work FOLDER [--final]`. Its training data are not
at hand, only the 1,000 samples of the benchmark's accuracy set. Of samples 0 to 199 the first 150
are mixed, moved in time and disturbed into 6,000, from which the pruned network learns what the
published float one says of them; 50 are held out to choose by; 200 to 999 are looked at by
`--final` alone. The result is compression_kws.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import (
    Parts,
    accuracy,
    figures,
    on_device,
    options,
    real_data,
    store,
)
from edgepack.models.dataset import Dataset, Samples, write_dataset
from edgepack.models.handle import ModelHandle
from edgepack.models.isolate import Task, run_task
from edgepack.models.keras_file import handle_from
from edgepack.models.progress import Progress
from edgepack.types import Array

RESULT = Path(__file__).with_name("compression_kws.json")
SCALE, ZERO_POINT = np.float32(0.5847029), 83  # of the stored samples, as their README states
BASE, CHOSEN = 150, 200
MADE = 6_000
_BLOCKS = 4


def _steps(ratio: float, epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "method": "prune_structured",
            "ratio": ratio,
            "of": "macs",
            "multiple": 4,
            "criterion": "taylor",
            "samples": 2000,
            "finetune": {"epochs": 0},
        },
        {
            "method": "finetune",
            "finetune": {
                "epochs": epochs,
                "batch_size": 64,
                "learning_rate": 2e-3,
                "teacher": {"model": "original", "temperature": 2.0, "alpha": 1.0},
            },
        },
    ]


CASES: dict[str, list[dict[str, Any]]] = {
    "half": _steps(0.56, 8),
    "third": _steps(0.4, 8),
}


def network(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: the published float network in Keras 3. Arguments: `source`, `out`."""
    import keras
    import tensorflow as tf
    from keras import layers

    from edgepack.models import keras_child

    made = [keras.Input((49, 10, 1))]
    made += [layers.Conv2D(64, (10, 4), strides=2, padding="same")]
    made += [layers.BatchNormalization(), layers.ReLU()]
    for _ in range(_BLOCKS):
        made += [layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization()]
        made += [layers.ReLU(), layers.Conv2D(64, 1), layers.BatchNormalization(), layers.ReLU()]
    made += [layers.AveragePooling2D((25, 5)), layers.Flatten()]
    made += [layers.Dense(12, activation="softmax")]
    model = keras.Sequential(made)
    reader = tf.train.load_checkpoint(arguments["source"])
    for index, layer in enumerate(layer for layer in model.layers if layer.weights):
        for weight in layer.weights:
            name = "depthwise_kernel" if "depthwise" in layer.name else weight.name
            name = weight.name if weight.name != "kernel" else name
            key = f"layer_with_weights-{index}/{name}/.ATTRIBUTES/VARIABLE_VALUE"
            weight.assign(reader.get_tensor(key))
    keras_child.save_keras(model, Path(arguments["out"]))
    return {"description": keras_child.describe(model)}


def original(folder: Path, work: Path) -> ModelHandle:
    """The network that is pruned, and the teacher."""
    path = work / "kws.keras"
    source = folder / "mlperf_tiny" / "kws_saved_model" / "variables" / "variables"
    arguments = {"source": str(source), "out": str(path)}
    task = Task("benchmarks.compression_kws:network", arguments, "rebuilding the DS-CNN", 600.0)
    return handle_from(path, run_task(task)["description"])


def parted(folder: Path, work: Path) -> Parts:
    """The made samples to train on, with the held-out ones and the real ones as test splits."""
    with np.load(folder / "kws01" / "kws01_int8.npz") as archive:
        x = (archive["x"].astype(np.float32) - ZERO_POINT) * SCALE
        y = archive["y"].astype(np.int64)
    made = Samples((disturbed(x[:BASE], MADE),), np.zeros(MADE, np.int64))
    found = Parts(work / "kws-choose.npz", work / "kws-final.npz")
    held = Samples((x[BASE:CHOSEN],), y[BASE:CHOSEN])
    write_dataset(found.choose, Dataset(made, held))
    write_dataset(found.final, Dataset(made, Samples((x[CHOSEN:],), y[CHOSEN:])))
    return found


def disturbed(base: Array, count: int) -> Array:
    """Samples made of others; seeded.

    Args:
        base: MFCC features [n, frames, coefficients, 1].
        count: how many are made: half of them mixtures of two, all moved by up to 5 frames, with
            noise of a tenth of each coefficient's deviation and another loudness.
    """
    draw = np.random.default_rng(0)
    first, second = base[draw.integers(0, len(base), (2, count))]
    share = np.where(draw.random(count) < 0.5, 1.0, draw.random(count)).astype(np.float32)
    share = share[:, None, None, None]
    mixed = share * first + (1 - share) * second
    frames = np.arange(base.shape[1])
    moved = np.clip(frames[None] + draw.integers(-5, 6, count)[:, None], 0, frames[-1])
    mixed = mixed[np.arange(count)[:, None], moved]
    deviation = base.std(axis=(0, 1), keepdims=True)
    mixed = mixed + 0.1 * deviation * draw.normal(size=mixed.shape)
    # the first coefficient is the loudness
    mixed[:, :, 0] += 0.2 * deviation[0, 0, 0] * draw.normal(size=(count, 1, 1))
    return np.asarray(mixed, np.float32)


def main() -> None:
    """Run the cases that are named, or all."""
    asked = options(__doc__ or "", list(CASES))
    folder = real_data()
    start, data = original(folder, asked.work), parted(folder, asked.work)
    result = RESULT if asked.final else asked.work / RESULT.name
    for name in asked.cases:
        store(result, name, figures(start, CASES[name], data, asked, f"kws {name}"))
    if asked.final:
        device = on_device(start.path, data.final, asked.work / "device")
        store(result, "as it is", {"test": accuracy(start.path, data.final), "device": device})


if __name__ == "__main__":
    main()
