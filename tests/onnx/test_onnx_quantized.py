"""Quantized ONNX models keep their scales and zero points, and nearly every output value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="pip install 'edgepack[onnx]'")

from edgepack.convert.base import ConvertOptions
from edgepack.convert.flatbuffer import read_model
from edgepack.convert.run import convert
from edgepack.errors import UnsupportedError
from edgepack.models.isolate import kept_child
from edgepack.types import DType
from tests.onnx.models import SIZE, Graph, quantize, save_cnn

SHAPE = (1, 3, SIZE, SIZE)
# TFLite rounds each product twice, ONNX once: a step per layer at most, of which few add up in a
# network of this depth.
MAX_STEPS = 3


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_child():
        yield


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cnn(tmp_path_factory.mktemp("onnx") / "cnn.onnx")


def source_scales(path: Path) -> tuple[set[tuple[float, int]], list[Any]]:
    """(scale, zero point for int8) of every activation, and the scales of every weight."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    activations, weights = set(), []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero = (constants[name] for name in node.input[1:3])
            shift = 128 if zero.dtype == np.uint8 else 0
            activations.add((float(scale), int(zero) - shift))
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            stored = constants[node.input[0]]
            if stored.dtype == np.int8:
                weights.append(constants[node.input[1]])
    return activations, weights


def result_scales(path: Path) -> tuple[set[tuple[float, int]], list[Any]]:
    model = read_model(path.read_bytes())
    activations, weights = set(), []
    graph = model.subgraphs[0]
    used = {int(i) for o in graph.operators for i in (*o.inputs, *o.outputs)}
    for index, tensor in enumerate(graph.tensors):
        if index not in used or tensor.quantization is None or tensor.quantization.scale is None:
            continue
        is_constant = model.buffers[tensor.buffer].data is not None
        if not is_constant:
            zero = int(tensor.quantization.zeroPoint[0])
            activations.add((float(tensor.quantization.scale[0]), zero))
        elif tensor.type == 9:  # INT8 of schema.fbs
            weights.append(np.asarray(tensor.quantization.scale))
    return activations, weights


@pytest.mark.parametrize("form", ["QDQ", "QDQu", "QOperator", "QOperatoru"])
def test_a_network_keeps_its_quantization(form: str, cnn: Path, tmp_path: Path) -> None:
    path = quantize(cnn, tmp_path / "quantized.onnx", form, SHAPE)
    done = convert(path, tmp_path, ConvertOptions())
    assert done.result is not None
    assert [s.dtype for s in (*done.result.inputs, *done.result.outputs)] == [DType.INT8] * 2
    assert done.result.is_full_integer
    assert done.parity[0].max_abs <= MAX_STEPS
    assert "TRANSPOSE" not in done.report["operators"]
    if form.startswith("QDQ"):
        wanted, wanted_weights = source_scales(path)
        have, have_weights = result_scales(done.path)
        # every one of the source's, in the same bits; the fixed ones of softmax and sigmoid are new
        assert wanted <= have
        assert have - wanted <= {(1 / 256, -128)}
        for scales in wanted_weights:
            assert any(np.array_equal(np.ravel(scales), other) for other in have_weights)


SINGLE: dict[str, tuple[str, dict[str, Any]]] = {
    "average": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "padded_average": (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    "global": ("GlobalAveragePool", {}),
    "leaky": ("LeakyRelu", {"alpha": 0.1}),
    "max": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "tanh": ("Tanh", {}),
    "transpose": ("Transpose", {"perm": [0, 2, 3, 1]}),
}


def out_shape(kind: str, attributes: dict[str, Any]) -> list[int]:
    if kind == "GlobalAveragePool":
        return [1, 3, 1, 1]
    if kind == "Transpose":
        return [1, 8, 8, 3]
    if "strides" in attributes:
        return [1, 3, 4, 4]
    return [1, 3, 8, 8]


def paired(kind: str, attributes: dict[str, Any], path: Path) -> Path:
    """One operator between QuantizeLinear and DequantizeLinear pairs."""
    g = Graph()
    g.constant("s_in", np.float32(0.04))
    g.constant("z_in", np.int8(5))
    g.constant("s_out", np.float32(0.021 if kind != "Transpose" else 0.04))
    g.constant("z_out", np.int8(-9 if kind != "Transpose" else 5))
    g.node("QuantizeLinear", ["x", "s_in", "z_in"], "q")
    g.node("DequantizeLinear", ["q", "s_in", "z_in"], "d")
    g.node(kind, ["d"], "m", **attributes)
    g.node("QuantizeLinear", ["m", "s_out", "z_out"], "p")
    g.node("DequantizeLinear", ["p", "s_out", "z_out"], "y")
    return g.save(path, {"x": [1, 3, 8, 8]}, {"y": out_shape(kind, attributes)})


@pytest.mark.parametrize("name", SINGLE)
def test_one_operator_is_within_a_step(name: str, tmp_path: Path) -> None:
    kind, attributes = SINGLE[name]
    done = convert(paired(kind, attributes, tmp_path / "one.onnx"), tmp_path, ConvertOptions())
    # operators that TFLite lets keep their scale, or gives a fixed one, round once more
    assert done.parity[0].max_abs <= 2
    assert done.result is not None
    assert done.result.outputs[0].dtype is DType.INT8


def test_what_stays_float_is_said(tmp_path: Path) -> None:
    g = Graph()
    g.constant("s", np.float32(0.05))
    g.constant("z", np.int8(0))
    g.node("QuantizeLinear", ["x", "s", "z"], "q")
    g.node("DequantizeLinear", ["q", "s", "z"], "d")
    g.node("Softmax", ["d"], "y", axis=-1)
    path = g.save(tmp_path / "half.onnx", {"x": [1, 6]}, {"y": [1, 6]})
    done = convert(path, tmp_path, ConvertOptions())
    assert done.result is not None
    assert [s.dtype for s in (*done.result.inputs, *done.result.outputs)] == [
        DType.INT8,
        DType.FLOAT32,
    ]
    assert any("leaves what follows them in float" in text for text in done.warnings)
    assert done.parity[0].max_abs < 1e-5


def test_asymmetric_weights_are_refused_with_the_node(tmp_path: Path) -> None:
    g = Graph()
    g.constant("s", np.float32(0.05))
    g.constant("z", np.int8(0))
    g.constant("zw", np.int8(3))
    g.constant("w", np.arange(-12, 12, dtype=np.int8).reshape(6, 4))
    g.node("QuantizeLinear", ["x", "s", "z"], "q")
    g.node("DequantizeLinear", ["q", "s", "z"], "d")
    g.node("DequantizeLinear", ["w", "s", "zw"], "wd")
    g.node("MatMul", ["d", "wd"], "m")
    g.node("QuantizeLinear", ["m", "s", "z"], "p")
    g.node("DequantizeLinear", ["p", "s", "z"], "y")
    path = g.save(tmp_path / "odd.onnx", {"x": [1, 6]}, {"y": [1, 4]})
    with pytest.raises(UnsupportedError, match=r"weights of MatMul \(node m_node\).*zero point 3"):
        convert(path, tmp_path, ConvertOptions())


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    path = paired("Erf", {}, tmp_path / "erf.onnx")
    with pytest.raises(UnsupportedError, match=r"Erf \(node m_node\)"):
        convert(path, tmp_path, ConvertOptions())
