"""Scales with two decimals: their products hit ties, so that a factor that is off in its last bit
shows. Calibrated scales rarely do, and tests with random scales never.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgepack.frontends.tflite import load_tflite
from edgepack.ops.evaluate import evaluate
from edgepack.types import Array
from tests.oracles import run_tflm
from tests.tflite_builder import ModelBuilder, TensorSpec, spec

Scales = tuple[float, float, float]
BYTES = np.arange(-128, 128).astype(np.int8).reshape(-1, 1)
TRIALS = 60
NONE = {"fused_activation_function": "NONE"}


def _dense(model: ModelBuilder, x: int, scales: Scales) -> int:
    w = model.const(np.array([[1]]), "INT8", scales[1])
    options = {**NONE, "keep_num_dims": False}
    return model.op("FULLY_CONNECTED", [x, w], [_out(scales)], options)[0]


def _conv(model: ModelBuilder, x: int, scales: Scales) -> int:
    shape = model.const(np.array([1, 16, 16, 1], np.int32), "INT32")
    image = spec((1, 16, 16, 1), "INT8", scales[0])
    (x,) = model.op("RESHAPE", [x, shape], [image], {"new_shape": [1, 16, 16, 1]})
    w = model.const(np.ones((1, 1, 1, 1)), "INT8", scales[1])
    options = {
        **NONE, "padding": "VALID", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1,
        "dilation_w_factor": 1,
    }  # fmt: skip
    made = spec((1, 16, 16, 1), "INT8", scales[2])
    return model.op("CONV_2D", [x, w], [made], options)[0]


def _matmul(model: ModelBuilder, x: int, scales: Scales) -> int:
    w = model.const(np.array([[1]]), "INT8", scales[1])
    return model.op("BATCH_MATMUL", [x, w], [_out(scales)], {})[0]


def _svdf(model: ModelBuilder, x: int, scales: Scales) -> int:
    """The first factor: the time weights only pass the state on."""
    return _svdf_with(model, x, (scales[1], scales[2], 1.0, scales[2]))


def _svdf_time(model: ModelBuilder, x: int, scales: Scales) -> int:
    return _svdf_with(model, x, (1.0, scales[0], scales[1], scales[2]))


def _svdf_with(model: ModelBuilder, x: int, scales: tuple[float, float, float, float]) -> int:
    feature, state, time, out = scales
    operands = [
        x,
        model.const(np.array([[1]]), "INT8", feature),
        model.const(np.array([[1]]), "INT16", time),
        model.const(np.array([0]), "INT32", float(np.float32(state) * np.float32(time))),
        model.variable((256, 1), "INT16", state),
    ]
    options = {**NONE, "rank": 1}
    return model.op("SVDF", operands, [spec((256, 1), "INT8", out)], options)[0]


def _binary(op: str) -> Callable[[ModelBuilder, int, Scales], int]:
    def make(model: ModelBuilder, x: int, scales: Scales) -> int:
        other = model.const(np.array([[3]]), "INT8", scales[1])
        options = None if op in ("SQUARED_DIFFERENCE", "MAXIMUM") else NONE
        return model.op(op, [x, other], [_out(scales)], options)[0]

    return make


def _unary(op: str) -> Callable[[ModelBuilder, int, Scales], int]:
    def make(model: ModelBuilder, x: int, scales: Scales) -> int:
        options = {"alpha": scales[1]} if op == "LEAKY_RELU" else None
        return model.op(op, [x], [_out(scales)], options)[0]

    return make


def _prelu(model: ModelBuilder, x: int, scales: Scales) -> int:
    slope = model.const(np.array([1]), "INT8", scales[1])
    return model.op("PRELU", [x, slope], [_out(scales)])[0]


def _reduce(op: str) -> Callable[[ModelBuilder, int, Scales], int]:
    def make(model: ModelBuilder, x: int, scales: Scales) -> int:
        axis = model.const(np.array([1], np.int32), "INT32")
        return model.op(op, [x, axis], [_out(scales)], {"keep_dims": True})[0]

    return make


def _out(scales: Scales) -> TensorSpec:
    return spec((256, 1), "INT8", scales[2])


MAKERS: dict[str, Callable[[ModelBuilder, int, Scales], int]] = {
    "FULLY_CONNECTED": _dense,
    "CONV_2D": _conv,
    "BATCH_MATMUL": _matmul,
    "SVDF": _svdf,
    "SVDF time": _svdf_time,
    "PRELU": _prelu,
    **{op: _binary(op) for op in ("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE")},
    **{op: _unary(op) for op in ("RELU", "LEAKY_RELU", "HARD_SWISH", "QUANTIZE", "ABS", "RSQRT")},
    **{op: _reduce(op) for op in ("MEAN", "SUM")},
}


def _model(make: Callable[[ModelBuilder, int, Scales], int], scales: Scales) -> bytes:
    model = ModelBuilder()
    model.output(make(model, model.input("x", BYTES.shape, "INT8", scales[0]), scales))
    return model.build()


@pytest.mark.needs_oracle
@pytest.mark.parametrize("op", MAKERS)
def test_ties(op: str) -> None:
    rng = np.random.default_rng(1)
    sample: Array = np.maximum(BYTES, 1) if op == "RSQRT" else BYTES
    wrong: dict[Scales, int] = {}
    for _ in range(TRIALS):
        drawn = [round(float(v), 2) for v in rng.uniform((0.01, 0.01, 0.05), (0.4, 0.9, 0.4))]
        scales = (drawn[0], drawn[1], drawn[2])
        data = _model(MAKERS[op], scales)
        (expected,) = run_tflm(data, [sample])
        module = load_tflite(data)
        got = evaluate(module, [sample])[module.main.outputs[0]]
        different = int((got != expected).sum())
        if different:
            wrong[scales] = different
    assert not wrong, f"{op}: differing elements by (input, other, output) scale: {wrong}"
