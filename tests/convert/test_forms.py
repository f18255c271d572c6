"""Keras layers and what they become: one operator where TFLite has one, and loops rolled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepack.convert.base import ConvertOptions
from edgepack.convert.report import Conversion
from edgepack.convert.run import convert
from edgepack.errors import UnsupportedError
from edgepack.frontends.tflite import load_tflite
from edgepack.models.isolate import Task, kept_child, run_task
from edgepack.models.load import load_model
from edgepack.ops.verify import unsupported_nodes

pytestmark = pytest.mark.needs_tf

SECONDS = 300.0
TOLERANCE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


def converted(
    folder: Path, expression: str, shape: tuple[int | None, ...], suffix: str = ".keras"
) -> Conversion:
    path = folder / f"net{suffix}"
    arguments = {"expression": expression, "shape": shape, "out": str(path)}
    run_task(Task("tests.convert.tasks:save_layer", arguments, "saving", SECONDS))
    done = convert(path, folder / "out", ConvertOptions())
    assert done.parity[0].max_relative < TOLERANCE
    return done


IMAGE = (None, 8, 8, 4)
FORMS = {
    "relu6": (IMAGE, "ops.minimum(ops.relu(layers.Conv2D(4, 3)(x)), 6.0)", {"CONV_2D": 1}),
    "hard_swish": (IMAGE, "x * ops.relu6(x + 3.0) / 6.0", {"HARD_SWISH": 1}),
    "gelu": (IMAGE, "keras.activations.gelu(x)", {"GELU": 1}),
    "gelu_tanh": (IMAGE, "keras.activations.gelu(x, approximate=True)", {"GELU": 1}),
    "silu": (IMAGE, "keras.activations.silu(x)", {"LOGISTIC": 1, "MUL": 1}),
    "batch_norm": (
        IMAGE,
        "layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x)))",
        {"DEPTHWISE_CONV_2D": 1},
    ),
    "dense_4d": (IMAGE, "layers.Dense(5, activation='relu')(x)", {"FULLY_CONNECTED": 1}),
    "lstm": ((None, 5, 3), "layers.LSTM(4)(x)", {"WHILE": 1}),
    "gru": ((None, 5, 3), "layers.GRU(4, return_sequences=True)(x)", {"WHILE": 1}),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_layer_becomes_the_operators_wanted(name: str, tmp_path: Path) -> None:
    shape, expression, wanted = FORMS[name]
    done = converted(tmp_path, expression, shape)
    if "WHILE" in wanted:
        assert done.report["operators"]["WHILE"] == 1  # rolled: the loop's body stands there once
    else:
        assert done.report["operators"] == wanted
    assert list(unsupported_nodes(load_tflite(done.path))) == []


@pytest.mark.parametrize("suffix", [".h5", ""])
def test_other_forms_of_a_keras_model(suffix: str, tmp_path: Path) -> None:
    done = converted(tmp_path, "layers.Dense(5)(layers.Flatten()(x))", IMAGE, suffix)
    assert done.report["operators"]["FULLY_CONNECTED"] == 1
    assert done.result is not None and done.result.inputs[0].shape == (1, 8, 8, 4)
    assert done.source.inputs[0].shape == (-1, 8, 8, 4)


def test_only_weights_that_the_signature_needs_count(tmp_path: Path) -> None:
    path = tmp_path / "net"
    run_task(Task("tests.convert.tasks:save_spare", {"out": str(path)}, "saving", SECONDS))
    assert load_model(path).parameters == 4


def test_outputs_keep_their_order(tmp_path: Path) -> None:
    expression = "[layers.Dense(3, name='second')(x), layers.Dense(2, name='first')(x), x]"
    done = converted(tmp_path, expression, (None, 4))
    assert done.result is not None
    assert [spec.shape for spec in done.result.outputs] == [(1, 3), (1, 2), (1, 4)]


def test_an_operator_without_a_kernel_is_named_with_its_layer(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"no kernel for .*MatrixInverse") as caught:
        path = tmp_path / "net"
        expression = "layers.Lambda(tf.linalg.inv, name='odd')(x)"
        arguments = {"expression": expression, "shape": (None, 4, 4), "out": str(path)}
        run_task(Task("tests.convert.tasks:save_layer", arguments, "saving", SECONDS))
        convert(path, tmp_path / "out", ConvertOptions())
    assert "odd" in caught.value.message
    assert "in the application" in (caught.value.next_step or "")


def test_an_open_dimension_is_asked_for_and_then_fixed(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    arguments = {
        "expression": "layers.GlobalAveragePooling1D()(layers.Conv1D(3, 2)(x))",
        "shape": (None, None, 4),
        "out": str(path),
    }
    run_task(Task("tests.convert.tasks:save_layer", arguments, "saving", SECONDS))
    with pytest.raises(UnsupportedError, match="input x has an open dimension") as caught:
        convert(path, tmp_path / "out", ConvertOptions())
    assert "--input-shape x:1x16x4" in (caught.value.next_step or "")
    done = convert(path, tmp_path / "out", ConvertOptions(input_shapes={"x": (1, 16, 4)}))
    assert done.result is not None and done.result.inputs[0].shape == (1, 16, 4)
    assert not {"SHAPE", "PACK"} & set(done.report["operators"])
    assert done.parity[0].max_relative < TOLERANCE


def test_numbers_that_are_none_are_compared(tmp_path: Path) -> None:
    """log of a negative number: no number on both sides counts as equal."""
    done = converted(tmp_path, "ops.log(x)", (None, 8))
    assert np.isfinite(done.parity[0].max_relative)
