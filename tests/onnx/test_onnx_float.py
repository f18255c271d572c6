"""Float ONNX models: the same outputs as ONNX Runtime, channels last, no TRANSPOSE in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx2tf", reason="pip install 'edgepack[onnx]'")

from edgepack.convert.base import ConvertOptions
from edgepack.convert.run import convert
from edgepack.errors import EdgepackError, UnsupportedError, UsageError
from edgepack.models.handle import ModelFormat
from edgepack.models.isolate import kept_child
from edgepack.models.load import load_model
from tests.onnx.models import SIZE, Graph, save_cnn

pytestmark = pytest.mark.needs_tf
# of the outputs' range: float32 in another order of additions
TOLERANCE = 1e-4


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cnn(tmp_path_factory.mktemp("onnx") / "cnn.onnx")


def test_a_handle_says_what_the_file_says(cnn: Path) -> None:
    handle = load_model(cnn)
    assert handle.format is ModelFormat.ONNX
    assert (handle.producer, handle.opset) == ("tests 1.0", "ai.onnx 17")
    assert [spec.shape for spec in handle.inputs] == [(-1, 3, SIZE, SIZE)]
    assert [spec.name for spec in handle.outputs] == ["y"]
    assert handle.parameters > 1000


def test_a_network_becomes_channels_last_without_a_transpose(cnn: Path, tmp_path: Path) -> None:
    done = convert(cnn, tmp_path, ConvertOptions())
    assert done.result is not None
    assert done.result.inputs[0].shape == (1, SIZE, SIZE, 3)
    assert done.parity[0].max_relative < TOLERANCE
    assert "TRANSPOSE" not in done.report["operators"]
    assert done.report["operators"]["CONV_2D"] == 4
    assert any("input x is NHWC now, NCHW before" in text for text in done.warnings)
    assert done.report["source"]["inputs"][0]["layout"] == "NCHW"


def test_keep_nchw_keeps_the_input(cnn: Path, tmp_path: Path) -> None:
    done = convert(cnn, tmp_path, ConvertOptions(keep_nchw=True))
    assert done.result is not None
    assert done.result.inputs[0].shape == (1, 3, SIZE, SIZE)
    assert done.report["operators"]["TRANSPOSE"] == 1
    assert done.parity[0].max_relative < TOLERANCE


def test_inputs_that_are_no_images_keep_their_axes(tmp_path: Path) -> None:
    g = Graph()
    g.node("MatMul", ["x", g.floats("w", 6, 4)], "m")
    g.node("Tanh", ["m"], "y")
    path = g.save(tmp_path / "rows.onnx", {"x": [1, 5, 6]}, {"y": [1, 5, 4]})
    done = convert(path, tmp_path, ConvertOptions())
    assert done.result is not None
    assert [s.shape for s in (*done.result.inputs, *done.result.outputs)] == [(1, 5, 6), (1, 5, 4)]
    assert done.parity[0].max_relative < TOLERANCE


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_layers_stay_rolled(kind: str, tmp_path: Path) -> None:
    from onnx import helper

    g, gates, hidden = Graph(), {"LSTM": 4, "GRU": 3}[kind], 5
    g.nodes.append(
        helper.make_node(
            kind,
            ["x", g.floats("w", 1, gates * hidden, 4), g.floats("r", 1, gates * hidden, hidden)],
            ["y"],
            name="cell",
            hidden_size=hidden,
            **({"linear_before_reset": 1} if kind == "GRU" else {}),
        )
    )
    path = g.save(tmp_path / "rnn.onnx", {"x": [7, 1, 4]}, {"y": [7, 1, 1, hidden]})
    done = convert(path, tmp_path, ConvertOptions())
    assert done.parity[0].max_relative < TOLERANCE
    assert done.report["operators"]["WHILE"] == 1


def test_an_operator_without_a_conversion_is_named(tmp_path: Path) -> None:
    g = Graph()
    g.node("Relu", ["x"], "r")
    g.node("Det", ["r"], "y")
    path = g.save(tmp_path / "det.onnx", {"x": [1, 3, 3]}, {"y": [1]})
    with pytest.raises(EdgepackError, match="Det"):
        convert(path, tmp_path, ConvertOptions())


def test_open_shapes_are_refused_or_fixed(tmp_path: Path) -> None:
    g = Graph()
    g.conv("x", "y", (2, 3, 3))
    path = g.save(tmp_path / "open.onnx", {"x": [1, 2, "H", 8]}, {"y": [1, 3, "H", 8]})
    with pytest.raises(UnsupportedError, match="input x has an open dimension: 1x2x"):
        convert(path, tmp_path, ConvertOptions())
    with pytest.raises(UsageError, match="contradicts the model"):
        convert(path, tmp_path, ConvertOptions(input_shapes={"x": (1, 3, 8, 8)}))
    done = convert(path, tmp_path, ConvertOptions(input_shapes={"x": (1, 2, 10, 8)}))
    assert done.result is not None
    assert done.result.inputs[0].shape == (1, 10, 8, 2)
    assert done.parity[0].max_relative < TOLERANCE


def test_weights_in_another_file_count_as_content(tmp_path: Path) -> None:
    import onnx

    from edgepack.models.onnx_file import external_files

    model = onnx.load(save_cnn(tmp_path / "inside.onnx"))
    path = tmp_path / "outside.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    done = convert(path, tmp_path / "out", ConvertOptions())
    assert done.parity[0].max_relative < TOLERANCE
    assert [file.name for file in external_files(path)] == ["weights.bin"]
    assert external_files(tmp_path / "inside.onnx") == []
    assert np.isfinite(done.parity[0].max_abs)
