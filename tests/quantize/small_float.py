"""A small float network of seeded weights for 8 x 8 digits, built without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgepack.types import Array
from tests.quantize.samples import FOLDER
from tests.tflite_builder import ModelBuilder, spec

CHANNELS = 8


def small_float(unequal: float = 1.0, seed: int = 3) -> bytes:
    """Two convolutions, a max-pool, a dense layer and a softmax.

    Args:
        unequal: what channel 0 between the convolutions is larger by; the model computes the same.
        seed: of the weights.
    """
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        spread = np.sqrt(2.0 / np.prod(shape[1:]))
        made: Array = rng.normal(0.0, spread, shape).astype(np.float32)
        return made

    first, second = weights(CHANNELS, 3, 3, 1), weights(CHANNELS, 3, 3, CHANNELS)
    first[0] *= unequal
    second[..., 0] /= unequal
    model = ModelBuilder()

    def constant(value: Array) -> int:
        return model.const(value, "FLOAT32")

    x = model.input("image", (1, 8, 8, 1), "FLOAT32")
    options = {
        "padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1,
        "dilation_w_factor": 1, "fused_activation_function": "RELU",
    }  # fmt: skip
    for name, filters in (("first", first), ("second", second)):
        (x,) = model.op(
            "CONV_2D",
            [
                x,
                model.const(filters, "FLOAT32"),
                model.const(np.zeros(CHANNELS, np.float32), "FLOAT32"),
            ],
            [spec((1, 8, 8, CHANNELS), "FLOAT32", name=name)],
            options,
        )
    window = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2}
    (x,) = model.op(
        "MAX_POOL_2D",
        [x],
        [spec((1, 4, 4, CHANNELS), "FLOAT32", name="pooled")],
        {**window, "filter_width": 2, "fused_activation_function": "NONE"},
    )
    size = 16 * CHANNELS
    shape = model.const(np.array([1, size], np.int32), "INT32")
    (x,) = model.op(
        "RESHAPE", [x, shape], [spec((1, size), "FLOAT32", name="flat")], {"new_shape": [1, size]}
    )
    (x,) = model.op(
        "FULLY_CONNECTED",
        [
            x,
            model.const(weights(10, size), "FLOAT32"),
            model.const(np.zeros(10, np.float32), "FLOAT32"),
        ],
        [spec((1, 10), "FLOAT32", name="dense")],
        {"fused_activation_function": "NONE", "keep_num_dims": False},
    )
    (x,) = model.op("SOFTMAX", [x], [spec((1, 10), "FLOAT32", name="softmax")], {"beta": 1.0})
    model.output(x)
    return model.build()


def write_digits(path: Path, train: int, test: int) -> None:
    """Digits as a data file with a split."""
    with np.load(FOLDER / "digits.npz") as arrays:
        x, y = arrays["x"].astype(np.float32)[..., None] / 16, arrays["y"]
    whole = slice(train, train + test)
    np.savez(path, x_train=x[:train], y_train=y[:train], x_test=x[whole], y_test=y[whole])
