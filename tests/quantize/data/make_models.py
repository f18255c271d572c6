"""Makes the models and digits beside this file: python tests/quantize/data/make_models.py FOLDER.

Networks of some thousand weights, trained in seconds on the digits of scikit-learn (8 x 8 pixels,
UCI "Optical Recognition of Handwritten Digits", CC BY 4.0). Needs TensorFlow and scikit-learn.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor
from edgepack.convert.rewrites.table import rewrite
from edgepack.quantize.policy import WEIGHTED
from tests.tflite_builder import ModelBuilder, spec

SEED = 7
UNITS = 16
TRAIN = 1297  # of 1797; the others evaluate


def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(SEED).permutation(len(found.target))
    return found.images[order].astype(np.uint8), found.target[order].astype(np.uint8)


def to_tflite(model: Any, shape: tuple[int, ...]) -> bytes:
    import keras
    import tensorflow as tf

    x = keras.Input(batch_shape=(1, *shape))
    data = tf.lite.TFLiteConverter.from_keras_model(keras.Model(x, model(x))).convert()
    return rewrite(bytes(data))[0]


def trained(layers: list[Any], x: Any, y: Any, epochs: int) -> Any:
    import keras

    keras.utils.set_random_seed(SEED)
    inside = outside = keras.Input(x.shape[1:])
    for layer in layers:
        outside = layer(outside)
    model = keras.Model(inside, outside)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    return model


def mobile(x: Any, y: Any) -> bytes:
    """Convolution, then depthwise separable ones, as in MobileNet, with ReLU."""
    from keras import layers

    def block(filters: int) -> list[Any]:
        return [
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(filters, 1, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]

    stack = [
        layers.Conv2D(16, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        *block(24),
        *block(24),
        *block(32),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
        layers.Softmax(),
    ]
    return to_tflite(trained(stack, x[..., None], y, 15), (8, 8, 1))


def unequal(data: bytes) -> bytes:
    """The same function with channels whose ranges differ by factors of up to 10,000."""
    rng = np.random.default_rng(SEED)
    editor = Editor(read_model(data))
    graph = editor.model.subgraphs[0]
    for operator in graph.operators[:-4]:
        site = editor.only_consumer(graph, int(operator.outputs[0]))
        if site is None or editor.name(site.operator) not in WEIGHTED:
            continue
        slots = WEIGHTED[editor.name(operator)]
        weights = editor.constant(graph, int(operator.inputs[1]))
        bias = editor.constant(graph, int(operator.inputs[2]))
        after = editor.constant(graph, int(site.operator.inputs[1]))
        assert weights is not None and bias is not None and after is not None
        factors = (10.0 ** rng.uniform(-2, 2, len(bias))).astype(np.float32)
        shape = [1] * weights.ndim
        shape[slots.axis] = -1
        for target, slot, value in (
            (operator, 1, weights * factors.reshape(shape)),
            (operator, 2, bias * factors),
            (site.operator, 1, after / factors),
        ):
            raw = graph.tensors[int(target.inputs[slot])]
            raw.buffer = editor.add_buffer(value.astype(np.float32))
    editor.sweep()
    return write_model(editor.model)


def recurrent(kind: str, x: Any, y: Any) -> dict[str, bytes]:
    import keras

    layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[kind]

    def stack(unroll: bool) -> list[Any]:
        return [layer(UNITS, unroll=unroll), keras.layers.Dense(10), keras.layers.Softmax()]

    rolled = trained(stack(False), x, y, 40)
    unrolled = trained(stack(True), x[:32], y[:32], 0)
    unrolled.set_weights(rolled.get_weights())
    made = {kind: to_tflite(rolled, (8, 8)), f"{kind}_unrolled": to_tflite(unrolled, (8, 8))}
    if kind == "lstm":
        made["lstm_fused"] = fused(*rolled.get_weights())
    return made


def fused(kernel: Any, recurrent: Any, bias: Any, dense: Any, dense_bias: Any) -> bytes:
    """A Keras LSTM as UNIDIRECTIONAL_SEQUENCE_LSTM; both order gates as i, f, c, o."""
    model = ModelBuilder()
    x = model.input("x", (1, 8, 8), "FLOAT32")

    def parts(value: Any) -> list[int]:
        pieces = np.split(value, 4, axis=-1)
        return [model.const(np.ascontiguousarray(p.T), "FLOAT32") for p in pieces]

    states = [model.variable((1, UNITS), "FLOAT32") for _ in range(2)]
    none = [None] * 3
    inputs = [x, *parts(kernel), *parts(recurrent), *none, *parts(bias), None, None, *states]
    options = {"fused_activation_function": "TANH"}
    out = spec((1, 8, UNITS), "FLOAT32")
    y = model.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [out], options)[0]
    ends = [model.const(np.array(v, np.int32), "INT32") for v in ([0, -1, 0], [0, 0, 0], [1, 1, 1])]
    masks = {"begin_mask": 5, "end_mask": 5, "shrink_axis_mask": 2}
    last = model.op("STRIDED_SLICE", [y, *ends], [spec((1, UNITS), "FLOAT32")], masks)[0]
    weights = [model.const(np.ascontiguousarray(v), "FLOAT32") for v in (dense.T, dense_bias)]
    scores = model.op("FULLY_CONNECTED", [last, *weights], [spec((1, 10), "FLOAT32")], {})[0]
    result = model.op("SOFTMAX", [scores], [spec((1, 10), "FLOAT32")], {"beta": 1.0})[0]
    model.output(result)
    return model.build()


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = Path(sys.argv[1])
    images, labels = digits()
    np.savez_compressed(folder / "digits.npz", x=images, y=labels)
    x, y = images[:TRAIN].astype(np.float32) / 16, labels[:TRAIN]
    made = {"mobile": unequal(mobile(x, y))}
    made |= {**recurrent("lstm", x, y), **recurrent("gru", x, y)}
    for name, data in made.items():
        (folder / f"{name}.tflite").write_bytes(data)


if __name__ == "__main__":
    main()
