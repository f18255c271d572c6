"""Models for apps: classifiers, and one whose every name is an attack."""

from __future__ import annotations

import numpy as np

from tests.tflite_builder import ModelBuilder, spec

HOSTILE = '"; }\n*/ ${System.exit(1)} \\(exit(1)) $x #{exit} \u202e\u2028 \U0001f600 `-->` "'
HOSTILE_LABELS = (
    'with "quotes"',
    "dollar $x ${y}",
    "back\\slash \\(x) \\u0041",
    "unicode é 模型 \U0001f600 e\u0301",
)


def float_classifier(seed: int = 3, *, features: int = 48, classes: int = 4) -> bytes:
    """FLOAT32[1,48] -> dense, RELU, dense, SOFTMAX -> FLOAT32[1,4], weights from a seed."""
    rng = np.random.default_rng(seed)
    model = ModelBuilder()
    values = model.input("serving_default_features:0", (1, features), "FLOAT32")
    for width, activation in ((64, "RELU"), (classes, "NONE")):
        weights = rng.standard_normal((width, features)) / np.sqrt(features)
        kernel = model.const(weights.astype(np.float32), "FLOAT32")
        bias = model.const(rng.standard_normal(width).astype(np.float32) / 10, "FLOAT32")
        (values,) = model.op(
            "FULLY_CONNECTED",
            [values, kernel, bias],
            [spec((1, width), "FLOAT32")],
            {"fused_activation_function": activation, "keep_num_dims": False},
        )
        features = width
    (scores,) = model.op(
        "SOFTMAX",
        [values],
        [spec((1, classes), "FLOAT32", name="StatefulPartitionedCall:0")],
        {"beta": 1.0},
    )
    model.output(scores)
    return model.build()


def picture_classifier(height: int = 6, width: int = 5, channels: int = 3) -> bytes:
    """INT8[1,6,5,3] with real values from -1 to 1 -> mean of each channel, INT8[1,3]."""
    model = ModelBuilder()
    image = model.input("image", (1, height, width, channels), "INT8", 2 / 255, 0)
    axes = model.const(np.array([1, 2], np.int32), "INT32")
    (mean,) = model.op(
        "MEAN", [image, axes], [spec((1, channels), "INT8", 2 / 255, 0)], {"keep_dims": False}
    )
    model.output(mean)
    return model.build()


def hostile() -> bytes:
    """Inputs and outputs of every type an app can fill, with names that are reserved or attacks."""
    model = ModelBuilder()
    outputs: list[int] = []
    for name, dtype, scale in (
        ("class", "FLOAT32", None),
        ("Class", "FLOAT32", None),
        (HOSTILE, "INT32", None),
        ("run", "INT64", None),
        ("inputSpecs", "INT8", 0.05),
        ("模型", "FLOAT32", None),
    ):
        tensor = model.input(name, (1, 3), dtype, scale)
        relu = dtype in ("FLOAT32", "INT8")
        op = "RELU" if relu else "NEG"
        outputs += model.op(op, [tensor], [spec((1, 3), dtype, scale, name=f"{name} out")], {})
    flag = model.input("it", (2,), "BOOL")
    outputs += model.op("LOGICAL_NOT", [flag], [spec((2,), "BOOL", name="outputs")], {})
    model.output(*outputs)
    return model.build()
