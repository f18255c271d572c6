"""What runs in the child process: TFLiteConverter on a Keras model."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.errors import UnsupportedError
from edgepack.models.dataset import Samples, read_dataset
from edgepack.models.keras_run import check_inputs, score
from edgepack.models.progress import Progress
from edgepack.quantize.calibration import calibration_samples
from edgepack.quantize.explain import explain

STAGE = "quantize"


def run(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: full-integer int8. Arguments: `model`, `data`, `samples`, `seed`, `out`."""
    from edgepack.models import keras_child

    progress(STAGE, 0.0, "starting TensorFlow")
    import keras
    import tensorflow as tf

    keras_child.set_seed(arguments["seed"])
    data = read_dataset(Path(arguments["data"]))
    model = keras_child.load_keras(Path(arguments["model"]))
    check_inputs(model, data.train)
    metric = score(model, data.test)
    samples = calibration_samples(data, arguments["samples"], arguments["seed"])
    fixed = _at_batch_one(model)
    names = [tensor.name for tensor in fixed.inputs]
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _rows(samples, names, progress)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    progress(STAGE, 0.1, "converting to TFLite")
    try:
        content: bytes = converter.convert()
    # The converter raises whatever its C++ code or ours in the callback does; `explain` sorts it.
    except Exception as error:
        traceback.print_exc()
        raise explain(error) from error
    Path(arguments["out"]).write_bytes(content)
    return {
        "inputs": names,
        # Keras exports the outputs of a functional model by position
        "outputs": [f"output_{index}" for index in range(len(fixed.outputs))],
        "calibration_samples": len(samples),
        "float_test": None if metric is None else metric.as_dict(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def _at_batch_one(model: Any) -> Any:
    """The same network with its batch, and with that every shape, fixed at 1.

    Raises:
        UnsupportedError: an input has another open dimension.
    """
    import keras

    inputs = []
    for tensor in model.inputs:
        rest = tuple(tensor.shape[1:])
        if None in rest:
            raise UnsupportedError(
                f"input {tensor.name} has an open dimension: {tuple(tensor.shape)}",
                allowed="fixed sizes in all dimensions but the first",
                next_step="build the model with keras.Input(shape=...) of fixed sizes",
            )
        name = tensor.name.split(":")[0]
        inputs.append(keras.Input(batch_shape=(1, *rest), dtype=tensor.dtype, name=name))
    outputs = model(inputs if len(inputs) > 1 else inputs[0])
    return keras.Model(inputs, outputs)


def _rows(samples: Samples, names: list[str], progress: Progress) -> Iterator[dict[str, Any]]:
    """One calibration sample at a time, by input name, float32 with a leading axis of 1.

    By name, because the converter may list the inputs in another order than Keras.
    """
    every = max(1, len(samples) // 20)
    for index in range(len(samples)):
        if index % every == 0:
            share = 0.3 + 0.5 * index / len(samples)
            progress(STAGE, share, f"calibrating, sample {index + 1}/{len(samples)}")
        yield {
            name: array[index : index + 1].astype(np.float32)
            for name, array in zip(names, samples.inputs, strict=True)
        }
    progress(STAGE, 0.8, "quantizing")
