"""Small Keras networks with random weights, one for each way in which channels hang together."""

from __future__ import annotations

from typing import Any

import numpy as np


def randomize(model: Any, seed: int = 0) -> Any:
    """Give every weight a value that no other has, so that no mix-up goes unseen."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed_generator" in weight.path:
            continue
        values = generator.normal(0, 0.5, tuple(weight.shape))
        if weight.name == "moving_variance":
            values = np.abs(values) + 0.5
        weight.assign(values.astype(np.float32))
    return model


def lenet_300() -> Any:
    import keras
    from keras import layers

    return randomize(
        keras.Sequential(
            [
                keras.Input((4, 5)),
                layers.Flatten(),
                layers.Dense(12, activation="relu", name="first"),
                layers.Dense(7, activation="sigmoid", name="second"),
                layers.Dense(3, activation="softmax", name="last"),
            ]
        )
    )


def convolutions() -> Any:
    """Convolution, pooling, flattening, and a depthwise layer that doubles the channels."""
    import keras
    from keras import layers

    return randomize(
        keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                layers.Conv2D(6, 3, activation="sigmoid", name="a"),
                layers.DepthwiseConv2D(3, depth_multiplier=2, activation="tanh", name="d"),
                layers.BatchNormalization(name="n"),
                layers.MaxPooling2D(2),
                layers.Conv2D(5, 1, use_bias=False, name="b"),
                layers.PReLU(shared_axes=[1, 2]),
                layers.Flatten(),
                layers.Dense(9, name="c"),
                layers.Dense(4, name="end"),
            ]
        )
    )


def residual() -> Any:
    """Two residual additions, a concatenation, a gate, and an addition by operator."""
    import keras
    from keras import layers

    image = keras.Input((6, 6, 3))
    stem = layers.Conv2D(8, 3, padding="same", name="stem")(image)
    x = layers.ReLU()(layers.BatchNormalization()(stem))
    y = layers.Conv2D(5, 3, padding="same", activation="relu", name="inner")(x)
    y = layers.Conv2D(8, 3, padding="same", name="outer")(y)
    x = layers.Add()([x, y])
    wide = layers.Conv2D(10, 3, strides=2, padding="same", name="wide")(x)
    gate = layers.GlobalAveragePooling2D()(wide)
    gate = layers.Reshape((1, 1, 10))(gate)
    gate = layers.Conv2D(10, 1, activation="sigmoid", name="gate")(gate)
    wide = layers.Multiply()([wide, gate])
    side = layers.Conv2D(4, 1, strides=2, name="side")(x)
    both = layers.Concatenate()([wide, side])
    z = layers.Conv2DTranspose(6, 2, strides=2, name="up")(both)
    z = z + layers.Conv2D(6, 1, name="skip")(x)
    z = layers.Flatten()(z)
    return randomize(keras.Model(image, layers.Dense(5, name="end")(z)))


def sequences() -> Any:
    """Convolutions along one axis, separable ones, and a dense layer behind a flattened pair."""
    import keras
    from keras import layers

    signal = keras.Input((12, 3))
    x = layers.Conv1D(6, 3, padding="causal", activation="relu", name="line")(signal)
    x = layers.BatchNormalization()(x)
    x = layers.SeparableConv1D(5, 3, padding="same", depth_multiplier=2, name="parted")(x)
    x = layers.MaxPooling1D(2)(x)
    y = layers.Conv1D(4, 1, strides=2, name="side")(signal)
    both = layers.Flatten()(layers.Concatenate()([x, y]))
    hidden = layers.Dense(8, activation="relu", name="hidden")(both)
    return randomize(keras.Model(signal, layers.Dense(3, name="end")(hidden)))


def grouped() -> Any:
    """A grouped convolution, whose channels stay, between a separable and a transposed one."""
    import keras
    from keras import layers

    image = keras.Input((6, 6, 2))
    x = layers.SeparableConv2D(7, 3, strides=2, activation="relu", name="parted")(image)
    x = layers.Conv2D(8, 1, name="before")(x)
    x = layers.Conv2D(8, 1, groups=4, name="groups")(x)
    x = layers.Conv2DTranspose(6, 2, strides=2, use_bias=False, name="up")(x)
    x = layers.LeakyReLU()(x)
    return randomize(keras.Model(image, layers.Conv2D(3, 1, name="end")(x)))


def shared() -> Any:
    """A layer that is used twice, and one that is not known."""
    import keras
    from keras import layers

    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    twin = layers.Dense(8, activation="relu", name="twin")
    second = layers.Dense(6, name="second")
    a, b = second(twin(left)), second(twin(right))
    known = layers.Dense(7, name="normed")(layers.Concatenate()([a, b]))
    known = layers.LayerNormalization()(known)
    return randomize(keras.Model([left, right], layers.Dense(2, name="end")(known)))
