"""Small quantized models that several tests share."""

from __future__ import annotations

import numpy as np

from tests.tflite_builder import ModelBuilder, spec

SEED = 7


def small_cnn(classes: int = 4, seed: int = SEED) -> bytes:
    """A convolution, a dense layer and a softmax over INT8[1,6,6,1], weights from a seed."""
    rng = np.random.default_rng(seed)
    model = ModelBuilder()
    image = model.input("image", (1, 6, 6, 1), "INT8", scale=0.1, zero_point=-3)
    filters = rng.integers(-127, 128, (5, 3, 3, 1)).astype(np.int8)
    kernel = model.const(filters, "INT8", scale=[0.01, 0.02, 0.015, 0.01, 0.03], axis=0)
    bias = model.const(
        rng.integers(-500, 500, 5).astype(np.int32),
        "INT32",
        scale=[0.001, 0.002, 0.0015, 0.001, 0.003],
        axis=0,
    )
    (features,) = model.op(
        "CONV_2D",
        [image, kernel, bias],
        [spec((1, 6, 6, 5), "INT8", 0.2, -10)],
        {
            "padding": "SAME",
            "stride_h": 1,
            "stride_w": 1,
            "dilation_h_factor": 1,
            "dilation_w_factor": 1,
            "fused_activation_function": "RELU",
        },
    )
    shape = model.const(np.array([1, 180], np.int32), "INT32")
    (flat,) = model.op(
        "RESHAPE", [features, shape], [spec((1, 180), "INT8", 0.2, -10)], {"new_shape": [1, 180]}
    )
    dense = model.const(
        rng.integers(-127, 128, (classes, 180)).astype(np.int8), "INT8", scale=0.01, zero_point=0
    )
    dense_bias = model.const(
        rng.integers(-500, 500, classes).astype(np.int32), "INT32", scale=0.002, zero_point=0
    )
    (scores,) = model.op(
        "FULLY_CONNECTED",
        [flat, dense, dense_bias],
        [spec((1, classes), "INT8", 0.5, 5)],
        {"fused_activation_function": "NONE", "keep_num_dims": False},
    )
    (probabilities,) = model.op(
        "SOFTMAX", [scores], [spec((1, classes), "INT8", 1 / 256, -128)], {"beta": 1.0}
    )
    model.output(probabilities)
    return model.build()
