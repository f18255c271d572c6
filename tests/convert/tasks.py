"""Tasks that the tests of conversions run in a child process, where TensorFlow is."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.models.progress import Progress


def save_small(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Save one small network as `.keras`, `.h5` and SavedModel in the folder `out`."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2), name="image"),
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(6.0),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="softmax", name="classes"),
        ]
    )
    generator = np.random.default_rng(5)
    model.get_layer("norm").set_weights([generator.uniform(0.5, 2, 3) for _ in range(4)])
    out = Path(arguments["out"])
    model.save(out / "small.keras")
    model.save(out / "small.h5")
    model.export(out / "small", verbose=False)
    tflite = tf.lite.TFLiteConverter.from_saved_model(str(out / "small")).convert()
    (out / "small.tflite").write_bytes(tflite)
    return {}


def save_layer(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Save `expression`, a function of `x`, `keras` and `tf`, over an input as `out`."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(7)
    shape = tuple(arguments["shape"])
    x = keras.Input(batch_shape=shape, name="x")
    names = {"x": x, "keras": keras, "tf": tf, "layers": keras.layers, "ops": keras.ops}
    y = eval(arguments["expression"], names)  # noqa: S307  # the tests' own text
    out = arguments["out"]
    model = keras.Model(x, y)
    if Path(out).suffix:
        model.save(out)
    else:
        model.export(out, verbose=False)
    return {}


def save_reader(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Save a SavedModel whose graph reads a file."""
    import tensorflow as tf

    class Reader(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:
            text = tf.io.read_file("/etc/hostname")
            return x + tf.cast(tf.strings.length(text), tf.float32)

    module = Reader()
    tf.saved_model.save(module, arguments["out"], signatures=module.__call__)
    return {}


def save_spare(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Save a SavedModel with four weights and forty variables that no output needs."""
    import tensorflow as tf

    class Spare(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.weights, self.momenta = tf.Variable(tf.ones(4)), tf.Variable(tf.zeros(40))

        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:
            return x * self.weights

    module = Spare()
    tf.saved_model.save(module, arguments["out"], signatures=module.__call__)
    return {}


def crash_opener(request: Any, stages: Any) -> Any:
    """An `open_source` that dies of a segmentation fault."""
    os.write(2, b"Fatal Python error: Segmentation fault\n")
    os.kill(os.getpid(), signal.SIGSEGV)


def greedy_opener(request: Any, stages: Any) -> Any:
    """An `open_source` that wants 100 GB."""
    return np.ones(100 * 2**30, np.uint8)


def slow_opener(request: Any, stages: Any) -> Any:
    """An `open_source` that never ends."""
    time.sleep(600)


def crash_at_third(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Stands in for `convert_up_to`: a network of five layers, the third of which crashes."""
    count = 5 if arguments["layers"] < 0 else arguments["layers"]
    progress("blame", None, f"{count} layer_{count} (Odd)")
    if count >= 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return {}
