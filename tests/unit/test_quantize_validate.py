"""A file that is not full-integer is refused with operator and tensor; stored values are exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepack.errors import ConversionError
from edgepack.models.dataset import Samples
from edgepack.models.handle import TensorSpec
from edgepack.models.litert import to_stored
from edgepack.quantize.data import Sources, choose
from edgepack.quantize.validate import check_full_integer
from edgepack.types import DType
from tests.tflite_builder import ModelBuilder, spec


def save(tmp_path: Path, model: ModelBuilder) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(model.build())
    return path


def test_the_digits_model_is_full_integer(checkout: Path) -> None:
    operators = check_full_integer(checkout / "examples" / "digits" / "digits_int8.tflite")
    assert operators == (
        "AVERAGE_POOL_2D",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "MAX_POOL_2D",
        "RESHAPE",
        "SOFTMAX",
    )


def test_a_float_left_inside_is_named_with_its_operator(tmp_path: Path) -> None:
    model = ModelBuilder()
    x = model.input("x", (1, 4), "INT8", scale=0.1, zero_point=0)
    (real,) = model.op("DEQUANTIZE", [x], [spec((1, 4), "FLOAT32", name="inner")], {})
    (y,) = model.op("QUANTIZE", [real], [spec((1, 4), "INT8", 0.1, 0)], {})
    model.output(y)
    with pytest.raises(ConversionError, match="DEQUANTIZE: 'inner' is FLOAT32"):
        check_full_integer(save(tmp_path, model))


def test_float_inputs_and_open_shapes_are_named(tmp_path: Path) -> None:
    model = ModelBuilder()
    x = model.input("samples", (4, 4), "FLOAT32")
    (y,) = model.op("QUANTIZE", [x], [spec((4, 4), "INT8", 0.1, 0)], {})
    model.output(y)
    with pytest.raises(ConversionError) as caught:
        check_full_integer(save(tmp_path, model))
    assert "input: 'samples' is FLOAT32, not INT8" in caught.value.message
    assert "input: 'samples' has shape [4, 4]" in caught.value.message


def test_values_are_stored_with_halves_away_from_zero_and_saturated() -> None:
    tensor = TensorSpec("x", (1, 7), DType.INT8, scale=0.5, zero_point=10)
    values = np.array([0.0, 0.25, -0.25, 0.2499, 0.75, 1000.0, -1000.0])
    assert to_stored(values, tensor).tolist() == [10, 11, 9, 10, 12, 127, -128]
    assert to_stored(values, tensor).dtype == np.int8
    # uint8 pixels are real values here, as the float model takes them
    pixels = TensorSpec("x", (1, 2), DType.INT8, scale=1.0, zero_point=-128)
    assert to_stored(np.array([0, 255], dtype=np.uint8), pixels).tolist() == [-128, 127]


def test_calibration_draws_from_the_training_split_without_repetition() -> None:
    train = Samples((np.arange(100.0).reshape(100, 1),))
    test = Samples((np.arange(900.0, 910.0).reshape(10, 1),))
    sources = Sources(train, test, False, "data")

    def drawn(count: int, seed: int) -> list[float]:
        chosen = choose(sources, count, None, seed).calibration.samples.inputs[0]
        return [float(value) for value in chosen.ravel()]

    first = drawn(30, 3)
    assert len(set(first)) == 30 and max(first) < 100
    assert first == drawn(30, 3)
    assert first != drawn(30, 4)
    assert drawn(1000, 0) == train.inputs[0].ravel().tolist()
