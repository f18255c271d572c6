"""Structured pruning of MLPerf Tiny's keyword spotter, a DS-CNN, without its training data.

`python -m benchmarks.compression_kws --work FOLDER [--final]`. Only the 1,000 samples of the
benchmark's accuracy set are at hand, which the published network has not learned from. They are
parted in five: the pruned network learns from 800 of them, disturbed and mixed into 60,000 (what
the published float network says of them, what its blocks compute, and the label of what is not
mixed), and answers the other 200. After five trainings every sample has been answered once, by a
network that has not seen it. The result is compression_kws.json.

The recipe was chosen with 100 of the 800 samples of fold 0 held out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compression import (
    Parts,
    accuracy,
    compressed,
    figures,
    halved,
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
FOLDS = 5
MADE = 60_000
_BLOCKS = 4
_HALF = halved("l1")


def _taught(teacher: Path) -> dict[str, Any]:
    return {
        "method": "distill",
        "teacher": teacher.name,  # in the folder of the trainings
        "temperature": 2.0,
        "alpha": 0.95,
        "hints": [f"re_lu_{2 * block}" for block in range(1, _BLOCKS + 1)],
        "finetune": {"epochs": 5, "batch_size": 128, "learning_rate": 3e-3},
    }


def ds_cnn(shape: tuple[int, int, int], classes: int) -> Any:
    """The network of MLPerf Tiny's keyword spotter for inputs of another shape, untrained."""
    import keras
    from keras import layers

    made = [keras.Input(shape)]
    made += [layers.Conv2D(64, (10, 4), strides=2, padding="same")]
    made += [layers.BatchNormalization(), layers.ReLU()]
    for _ in range(_BLOCKS):
        made += [layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization()]
        made += [layers.ReLU(), layers.Conv2D(64, 1), layers.BatchNormalization(), layers.ReLU()]
    size = tuple(-(-side // 2) for side in shape[:2])
    made += [layers.AveragePooling2D(size), layers.Flatten()]
    made += [layers.Dense(classes, activation="softmax")]
    return keras.Sequential(made)


def network(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: the published float network in Keras 3. Arguments: `source`, `out`."""
    import tensorflow as tf

    from edgepack.models import keras_child

    model = ds_cnn((49, 10, 1), 12)
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


def samples(folder: Path) -> Samples:
    """The accuracy set: MFCC features float32 [1000, 49, 10, 1], classes."""
    with np.load(folder / "kws01" / "kws01_int8.npz") as archive:
        features = (archive["x"].astype(np.float32) - ZERO_POINT) * SCALE
        return Samples((features,), archive["y"].astype(np.int64))


def fold(whole: Samples, number: int, path: Path) -> Path:
    """Write the made samples of a fold, and its own real ones as the test split."""
    order = np.random.default_rng(0).permutation(len(whole))
    test = np.sort(order[number::FOLDS])
    rest = whole.take(np.setdiff1d(order, test))
    assert rest.labels is not None
    write_dataset(path, Dataset(disturbed(rest.inputs[0], rest.labels, MADE), whole.take(test)))
    return path


def disturbed(base: Array, labels: Array, count: int) -> Samples:
    """Samples made of others; seeded.

    All are stretched in time by up to a quarter, bent and moved by up to 8 frames; three in ten are
    mixtures of two, 15 % begin as one and go on as another, 15 % have coefficients of two (none of
    these has a label: -1). Then coefficients are scaled and moved, and noise is added.

    Args:
        base: MFCC features [n, frames, coefficients, 1].
        labels: their classes.
        count: how many are made.
    """
    draw = np.random.default_rng(0)
    frames, coefficients = base.shape[1:3]
    deviation = base.std(axis=(0, 1), keepdims=True)[0]

    def warped(which: Array) -> Array:
        speed, offset = draw.uniform(0.8, 1.25, len(which)), draw.uniform(-8, 8, len(which))
        bend, time = draw.uniform(-0.15, 0.15, len(which)), np.arange(frames) / (frames - 1)
        place = (time - 0.5) * speed[:, None] + 0.5 + bend[:, None] * np.sin(np.pi * time)
        place = np.clip(place * (frames - 1) + offset[:, None], 0, frames - 1)
        low = place.astype(int)
        share = (place - low)[..., None, None]
        one, next_one = base[which[:, None], [low, np.minimum(low + 1, frames - 1)]]
        return np.asarray(one * (1 - share) + next_one * share)

    def others(place: Array) -> Array:
        return warped(draw.integers(0, len(base), len(place)))

    first = draw.integers(0, len(base), count)
    kind = draw.choice(4, count, p=[0.4, 0.3, 0.15, 0.15])
    made = warped(first)
    mixed, joined, crossed = (np.flatnonzero(kind == number) for number in (1, 2, 3))
    share = draw.random((len(mixed), 1, 1, 1))
    made[mixed] = share * made[mixed] + (1 - share) * others(mixed)
    begin = np.arange(frames) < draw.integers(8, frames - 8, (len(joined), 1))
    made[joined] = np.where(begin[..., None, None], made[joined], others(joined))
    own = draw.random((len(crossed), 1, coefficients, 1)) < 0.5
    made[crossed] = np.where(own, made[crossed], others(crossed))
    made *= draw.normal(1.0, 0.1, (count, 1, coefficients, 1))
    made += draw.uniform(0, 0.3, (count, 1, 1, 1)) * deviation * draw.normal(size=made.shape)
    made += 0.25 * deviation * draw.normal(size=(count, 1, coefficients, 1))
    # the first coefficient is the loudness
    made[:, :, 0] += 0.3 * deviation[0, 0, 0] * draw.normal(size=(count, 1, 1))
    return Samples((made.astype(np.float32),), np.where(kind == 0, labels[first], -1))


def pooled(found: dict[str, Any]) -> dict[str, Any]:
    """The share of all samples that each fold's network answers right, its own test samples."""
    names = {"as it is": "held out before", "pruned": "held out"}
    rows = [found[f"fold {number}"] for number in range(FOLDS)]
    return {name: float(np.mean([row[key] for row in rows])) for name, key in names.items()}


def main() -> None:
    """Prune, and train the folds that are named, or all."""
    cases = [f"fold {number}" for number in range(FOLDS)]
    asked = options(__doc__ or "", cases)
    folder = real_data()
    whole, start = samples(folder), original(folder, asked.work)
    result = RESULT if asked.final else asked.work / RESULT.name
    small: ModelHandle | None = None
    for number, name in enumerate(cases):
        if name not in asked.cases:
            continue
        data = fold(whole, number, asked.work / f"kws-{number}.npz")
        if small is None:  # by the weights alone: the same in every fold
            small = compressed(start, [_HALF], data, asked, "kws half")[0].handle
        case = figures(small, [_taught(start.path)], Parts(data, data), asked, f"kws {name}")
        case["held out before"] = accuracy(start.path, data)
        store(result, name, {"cut": _HALF, **case})
        if asked.final:
            device = on_device(start.path, data, asked.work / "device")
            store(result, f"as it is, {name}", {"device": device})
    found = json.loads(result.read_text(encoding="utf-8"))
    if all(name in found for name in cases):
        store(result, "all folds", pooled(found))


if __name__ == "__main__":
    main()
