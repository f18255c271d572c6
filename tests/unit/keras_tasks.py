"""Tasks that `test_keras_stages` runs in a child process with Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgepack.compress.context import Context
from edgepack.compress.prune_magnitude import Config, run
from edgepack.models import keras_child
from edgepack.models.dataset import Dataset, Samples
from edgepack.models.progress import Progress


def watch_pruning(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Prune a small network and count the zeros of its kernels during the training."""
    import keras

    keras_child.set_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(20, activation="relu", kernel_constraint="non_neg", name="first"),
            keras.layers.Dense(10, activation="relu", name="skipped"),
            keras.layers.Dense(3, name="last"),
        ]
    )
    generator = np.random.default_rng(0)
    x = generator.normal(size=(160, 12)).astype(np.float32)
    labels = x[:, :3].argmax(axis=1)
    samples = Samples((x,), labels)
    kernels = [model.get_layer(name).kernel for name in ("first", "last")]
    own = kernels[0].constraint
    zeros: list[list[int]] = []

    def watch(stage: str, fraction: float | None, message: str) -> None:
        zeros.append([int((np.asarray(kernel) == 0).sum()) for kernel in kernels])

    config = Config(**arguments["config"])
    outcome = run(model, config, Context(Dataset(samples, samples), watch))
    first = np.asarray(kernels[0])
    return {
        "zeros": zeros,
        "layers": [[layer.name.split("/")[-2], layer.elements] for layer in outcome.layers],
        "skipped": int((np.asarray(model.get_layer("skipped").kernel) == 0).sum()),
        "own_constraint_held": bool((first >= 0).all()),
        "own_constraint_restored": kernels[0].constraint is own,
    }


def save_two_inputs(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Save a model of two inputs of one shape; its outputs are their difference and the second."""
    import keras

    # named against the alphabet, which is one of the orders that the converter may choose
    first, second = keras.Input((4,), name="zebra"), keras.Input((4,), name="ant")
    difference = keras.layers.Subtract()([first, second])
    model = keras.Model([first, second], [difference, keras.layers.ReLU()(second)])
    keras_child.save_keras(model, Path(arguments["out"]))
    return keras_child.describe(model)


def save_open_model(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Save a model whose input has an open second dimension."""
    import keras

    model = keras.Sequential([keras.Input((None, 4), name="series"), keras.layers.Dense(2)])
    keras_child.save_keras(model, Path(arguments["out"]))
    return keras_child.describe(model)
