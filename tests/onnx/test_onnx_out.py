"""`--to onnx-qdq`: an int8 `.tflite` as ONNX that ONNX Runtime computes alike."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="pip install 'edgepack[onnx]'")

import onnx
import onnxruntime as ort

from edgepack.convert.base import ConvertOptions
from edgepack.convert.parity import LiteRt
from edgepack.convert.run import convert
from edgepack.errors import UnsupportedError
from edgepack.models.tflite_file import load_tflite
from edgepack.types import Array
from tests.tflite_builder import ModelBuilder, spec

# One step of the logits, 0.1, moves a probability by at most 0.1 / 4 (the slope of a sigmoid), and
# its own rounding by a step of 1 / 256.
MAX_PROBABILITY = 0.1 / 4 + 1 / 256
QDQ = ConvertOptions(to="onnx-qdq")


def network(path: Path) -> Path:
    """Convolutions of both kinds, a residual, pools, and a dense layer, all int8."""
    generator = np.random.default_rng(3)
    m = ModelBuilder()
    x = m.input("x", (1, 9, 8, 3), "INT8", scale=0.02, zero_point=-3)

    def conv(x: int, shape: tuple[int, ...], axis: int, out: Any, **options: Any) -> int:
        count = shape[axis]
        scale = generator.uniform(0.002, 0.01, count)
        w = m.const(
            generator.integers(-127, 128, shape).astype(np.int8), "INT8", scale=scale, axis=axis
        )
        b = m.const(
            generator.integers(-900, 900, count).astype(np.int32),
            "INT32", scale=scale * 0.02, axis=0,
        )  # fmt: skip
        kind = "DEPTHWISE_CONV_2D" if axis == 3 else "CONV_2D"
        options = {"padding": "SAME", "fused_activation_function": "RELU6", **options}
        return m.op(kind, [x, w, b], [out], options)[0]

    a = conv(x, (4, 3, 3, 3), 0, spec((1, 5, 4, 4), "INT8", 0.02, -128), stride_h=2, stride_w=2)
    d = conv(
        a, (1, 3, 3, 4), 3, spec((1, 5, 4, 4), "INT8", 0.02, -128),
        stride_h=1, stride_w=1, depth_multiplier=1,
    )  # fmt: skip
    s = m.op("ADD", [a, d], [spec((1, 5, 4, 4), "INT8", 0.04, -120)], {})[0]
    p = m.op(
        "AVERAGE_POOL_2D", [s], [spec((1, 3, 2, 4), "INT8", 0.04, -120)],
        {"padding": "SAME", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2},
    )[0]  # fmt: skip
    shape = m.const(np.array([1, 24], np.int32), "INT32")
    r = m.op("RESHAPE", [p, shape], [spec((1, 24), "INT8", 0.04, -120)], {})[0]
    w = m.const(generator.integers(-127, 128, (5, 24)).astype(np.int8), "INT8", scale=0.005)
    y = m.op("FULLY_CONNECTED", [r, w, None], [spec((1, 5), "INT8", 0.1, 7)], {})[0]
    m.output(m.op("SOFTMAX", [y], [spec((1, 5), "INT8", 1 / 256, -128)], {"beta": 1.0})[0])
    path.write_bytes(m.build())
    return path


def test_a_network_runs_in_onnx_runtime(tmp_path: Path) -> None:
    done = convert(network(tmp_path / "net.tflite"), tmp_path, QDQ)
    assert done.path.suffix == ".onnx"
    model = onnx.load(done.path)
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.op_type for node in model.graph.node}
    assert {"Conv", "QuantizeLinear", "DequantizeLinear", "Gemm", "Softmax"} <= kinds
    stored = [t for t in model.graph.initializer if t.name.endswith("/stored")]
    assert {t.data_type for t in stored} == {onnx.TensorProto.INT8, onnx.TensorProto.INT32}
    assert done.parity[0].max_abs <= MAX_PROBABILITY
    assert any("at most" in text and "int8 step" in text for text in done.warnings)


def test_a_float_model_is_refused(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), "FLOAT32")
    m.output(m.op("RELU", [x], [spec((1, 4), "FLOAT32")])[0])
    path = tmp_path / "float.tflite"
    path.write_bytes(m.build())
    with pytest.raises(UnsupportedError, match="no int8 tensors"):
        convert(path, tmp_path, QDQ)


def test_an_operator_without_a_form_is_named(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 4), "INT8", scale=0.1, zero_point=0)
    m.output(m.op("CUMSUM", [x, m.const(np.array(1, np.int32), "INT32")],
                  [spec((1, 4), "INT8", 0.1, 0)], {})[0])  # fmt: skip
    path = tmp_path / "odd.tflite"
    path.write_bytes(m.build())
    with pytest.raises(UnsupportedError, match="CUMSUM"):
        convert(path, tmp_path, QDQ)


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad", "sww"])
def test_each_operator_of_mlperf_tiny_is_within_a_step(
    name: str, real_data: Path, tmp_path: Path, record_property: Any
) -> None:
    # `convert` itself fails where an operator by itself is more than one step away
    done = convert(real_data / f"mlperf_tiny/{name}_int8.tflite", tmp_path, QDQ)
    share = next(text for text in done.warnings if "int8 step" in text)
    record_property("note", f"{name}: {done.parity[0]}; {share}")


def accuracy(name: str, data: Path, folder: Path, xs: list[Array], ys: Array) -> tuple[int, int]:
    """Right answers of LiteRT and of ONNX Runtime."""
    path = data / f"mlperf_tiny/{name}_int8.tflite"
    done = convert(path, folder, QDQ)
    spec_in = load_tflite(path).inputs[0]
    assert spec_in.zero_point is not None and spec_in.scale is not None
    litert = LiteRt(path.read_bytes())
    session = ort.InferenceSession(str(done.path))
    right = [0, 0]
    for x, y in zip(xs, ys, strict=True):
        real = (x[None].astype(np.float32) - spec_in.zero_point) * np.float32(spec_in.scale)
        right[0] += int(litert((x[None],))[0].argmax()) == int(y)
        right[1] += int(session.run(None, {session.get_inputs()[0].name: real})[0].argmax()) == y
    return right[0], right[1]


@pytest.mark.needs_data
@pytest.mark.slow
def test_keyword_spotting_keeps_its_accuracy(
    real_data: Path, tmp_path: Path, record_property: Any
) -> None:
    arrays = np.load(real_data / "kws01/kws01_int8.npz")
    one, other = accuracy("kws", real_data, tmp_path, list(arrays["x"]), arrays["y"])
    record_property("note", f"kws of 1000: LiteRT {one}, ONNX Runtime {other}")
    assert abs(one - other) <= 5  # 0.5 %


@pytest.mark.needs_data
@pytest.mark.slow
def test_image_classification_keeps_its_accuracy(
    real_data: Path, tmp_path: Path, record_property: Any
) -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install 'edgepack[images]'")
    arrays = np.load(real_data / "cifar10/cifar10_jpeg.npz")
    offsets, raw = arrays["test_offsets"], arrays["test_bytes"]
    xs = []
    for index in range(1000):
        data = io.BytesIO(raw[offsets[index] : offsets[index + 1]].tobytes())
        xs.append((np.asarray(image.open(data)).astype(np.int16) - 128).astype(np.int8))
    one, other = accuracy("ic", real_data, tmp_path, xs, arrays["y_test"][:1000])
    record_property("note", f"ic of 1000: LiteRT {one}, ONNX Runtime {other}")
    assert abs(one - other) <= 10  # 1 %
