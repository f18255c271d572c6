"""Legacy uint8 models become int8 ones with the same outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.convert.uint8 import INTERFACE
from edgepack.errors import UnsupportedError
from edgepack.types import DType
from tests.tflite_builder import ModelBuilder, spec

CHANNELS = 6


def model(zero_point: int, *, narrow: bool) -> bytes:
    """A convolution, a depthwise one, pooling, a dense layer and softmax, all on uint8."""
    generator = np.random.default_rng(zero_point)
    m = ModelBuilder()
    x = m.input("x", (1, 6, 6, CHANNELS), "UINT8", scale=0.02, zero_point=131)

    def weights(*shape: int) -> int:
        low, high = (zero_point - 120, zero_point + 120) if narrow else (0, 256)
        stored = generator.integers(max(low, 0), min(high, 256), shape).astype(np.uint8)
        return m.const(stored, "UINT8", scale=0.01, zero_point=zero_point)

    def bias(count: int, scale: float) -> int:
        return m.const(generator.integers(-900, 900, count).astype(np.int32), "INT32", scale=scale)

    conv = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "fused_activation_function": "RELU"}
    shape = (1, 6, 6, 4)
    inputs = [x, weights(4, 3, 3, CHANNELS), bias(4, 0.0002)]
    y = m.op("CONV_2D", inputs, [spec(shape, "UINT8", 0.05, 3)], conv)[0]
    inputs = [y, weights(1, 3, 3, 4), bias(4, 0.0005)]
    options = {**conv, "depth_multiplier": 1}
    y = m.op("DEPTHWISE_CONV_2D", inputs, [spec(shape, "UINT8", 0.04, 0)], options)[0]
    pool = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2}
    pool |= {"filter_width": 2, "fused_activation_function": "NONE"}
    scale, zero = 0.04, 0
    y = m.op("MAX_POOL_2D", [y], [spec((1, 3, 3, 4), "UINT8", scale, zero)], pool)[0]
    y = m.op("RESHAPE", [y], [spec((1, 36), "UINT8", scale, zero)], {"new_shape": [1, 36]})[0]
    inputs = [y, weights(5, 36), bias(5, scale * 0.01)]
    options = {"fused_activation_function": "NONE"}
    y = m.op("FULLY_CONNECTED", inputs, [spec((1, 5), "UINT8", 0.1, 120)], options)[0]
    m.output(y)
    return m.build()


@pytest.mark.parametrize(
    ("zero_point", "narrow"), [(128, True), (100, False), (151, False), (0, False), (255, False)]
)
def test_outputs_stay(zero_point: int, narrow: bool, tmp_path: Path) -> None:
    path = tmp_path / "legacy.tflite"
    path.write_bytes(model(zero_point, narrow=narrow))
    done = convert(path, tmp_path / "out", ConvertOptions())
    assert done.result is not None and done.result.is_full_integer
    assert done.result.inputs[0].dtype is DType.INT8
    assert done.result.inputs[0].scale == pytest.approx(0.02)
    assert done.result.inputs[0].zero_point == 3
    (parity,) = done.parity
    assert parity.unequal == 0 and parity.values == 20
    assert INTERFACE in done.warnings
    assert any("read again" in text for text in done.warnings) is not narrow
    assert DType.UINT8 not in done.result.dtypes


def test_what_cannot_be_the_same_is_refused(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), "UINT8", scale=0.1, zero_point=7)
    y = m.op("ELU", [x], [spec((1, 4), "UINT8", 0.1, 7)])[0]
    m.output(y)
    path = tmp_path / "elu.tflite"
    path.write_bytes(m.build())
    with pytest.raises(UnsupportedError, match="ELU on uint8"):
        convert(path, tmp_path / "out", ConvertOptions())
