"""Makes the recurrent models beside this file: python tests/data/make_recurrent.py FOLDER.

Float models come from Keras 3 (WHILE and its subgraphs), the quantized one from tf_keras, whose
converter fuses an LSTM of batch size 1; without tf_keras it is left out. Weights follow from seeds.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STEPS, INPUTS, UNITS = 5, 3, 4
SEED = 3


def float_models() -> Iterator[tuple[str, bytes]]:
    """LSTM and GRU, giving their last output or all of them, and two layers in a row."""
    import keras
    import tensorflow as tf

    layers = keras.layers
    stacks: dict[str, list[Any]] = {
        "keras_lstm": [layers.LSTM(UNITS)],
        "keras_gru": [layers.GRU(UNITS)],
        "keras_gru_sequence": [layers.GRU(UNITS, return_sequences=True)],
        "keras_lstm_stack": [layers.LSTM(UNITS, return_sequences=True), layers.LSTM(2)],
    }
    for name, stack in stacks.items():
        keras.utils.set_random_seed(SEED)
        x = y = keras.Input(batch_shape=(1, STEPS, INPUTS))
        for layer in stack:
            y = layer(y)
        yield name, tf.lite.TFLiteConverter.from_keras_model(keras.Model(x, y)).convert()


def int8_model() -> bytes:
    """A full-integer LSTM and dense layer, calibrated on noise."""
    import numpy as np
    import tensorflow as tf
    import tf_keras

    tf_keras.utils.set_random_seed(SEED)
    x = tf_keras.Input(shape=(STEPS, INPUTS), batch_size=1)
    y = tf_keras.layers.Dense(2)(tf_keras.layers.LSTM(UNITS)(x))
    converter = tf.lite.TFLiteConverter.from_keras_model(tf_keras.Model(x, y))
    noise = np.random.default_rng(SEED).normal(size=(64, 1, STEPS, INPUTS)).astype(np.float32)
    converter.representative_dataset = lambda: ([sample] for sample in noise)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = Path(sys.argv[1])
    models = list(float_models())
    if importlib.util.find_spec("tf_keras") is not None:
        models.append(("keras_lstm_int8", int8_model()))
    for name, data in models:
        (folder / f"{name}.tflite").write_bytes(data)


if __name__ == "__main__":
    main()
