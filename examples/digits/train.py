"""A small convolutional network on scikit-learn's handwritten digits, trained in seconds.

edgepack.toml names the two functions of this file; edgepack calls them in a process of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from edgepack.models.dataset import Dataset

EPOCHS = 8
BATCH = 32
TEST_SHARE = 0.25


class Report(Protocol):
    """What edgepack hands in as `progress`."""

    def __call__(self, fraction: float | None, message: str) -> None:
        """Note the share done."""


def load_data(seed: int) -> dict[str, Any]:
    """1797 images of 8x8 pixels, values 0 to 1, layout NHWC; a quarter of each class to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    # The pixels are counts from 0 to 16 (of 4x4 binary blocks).
    images = (digits.images / 16.0).astype(np.float32)[..., np.newaxis]
    labels = digits.target.astype(np.uint8)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=TEST_SHARE, random_state=seed, stratify=labels
    )
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def build_and_train(data: Dataset, progress: Report, seed: int) -> Any:
    """A depthwise-separable network for 10 classes, ending in a softmax."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.Conv2D(32, 1, use_bias=False, name="pointwise"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise_2"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.Conv2D(48, 1, use_bias=False, name="pointwise_2"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    images, labels = data.train.inputs[0], data.train.labels
    steps = EPOCHS * -(-len(images) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(8e-3, steps)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )

    def after_epoch(epoch: int, logs: dict[str, float]) -> None:
        progress(
            (epoch + 1) / EPOCHS,
            f"epoch {epoch + 1}/{EPOCHS}, accuracy {100 * logs['accuracy']:.1f} %",
        )

    model.fit(
        images,
        labels,
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
    )
    return model
