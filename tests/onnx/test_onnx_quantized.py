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


# weights' type, their zero points, shape (outputs, inputs per group, rows, columns), groups,
# and whether weights need more than eight bits without their zero point
ASYMMETRIC: dict[str, tuple[str, list[int], tuple[int, ...], int, bool]] = {
    "fits": ("int8", [3], (8, 4), 1, False),
    "dense": ("uint8", [100], (8, 6), 1, True),
    "conv": ("uint8", [131], (4, 6, 3, 3), 1, True),
    "per_channel": ("int8", [-90, 0, 90, 127], (4, 6, 3, 3), 1, True),
    "depthwise": ("uint8", [100], (6, 1, 3, 3), 6, True),
    "nine_bits": ("uint8", [0], (6, 1, 3, 3), 6, True),
}


def asymmetric(name: str, path: Path) -> Path:
    """A layer with weights of all values, whose zero points are not in the middle."""
    kind, zeros, shape, groups, _ = ASYMMETRIC[name]
    g = Graph(seed=3)
    limits = np.iinfo(kind)
    low, high = (-100, 101) if name == "fits" else (limits.min, limits.max + 1)
    stored = g.generator.integers(low, high, shape).astype(kind)
    stored.flat[:2] = low, high - 1
    scale = np.float32(0.002) * np.arange(1, len(zeros) + 1, dtype=np.float32)
    zero: Any = np.array(zeros, kind)
    if len(zeros) == 1:
        scale, zero = scale[0], zero[0]
    for key, value in (("s", 0.05), ("t", 0.11)):
        g.constant(key, np.float32(value))
    g.constant("z", np.uint8(117))
    g.constant("w", stored if len(shape) == 4 else stored.T)
    g.constant("sw", scale)
    g.constant("zw", zero)
    g.node("QuantizeLinear", ["x", "s", "z"], "q")
    g.node("DequantizeLinear", ["q", "s", "z"], "d")
    g.node("DequantizeLinear", ["w", "sw", "zw"], "wd", **({"axis": 0} if len(zeros) > 1 else {}))
    if len(shape) == 4:
        g.node("Conv", ["d", "wd"], "m", group=groups, pads=[1, 1, 1, 1], kernel_shape=[3, 3])
        shapes = [1, shape[1] * groups, 5, 5], [1, shape[0], 5, 5]
    else:
        g.node("MatMul", ["d", "wd"], "m")
        shapes = [1, shape[1]], [1, shape[0]]
    g.node("QuantizeLinear", ["m", "t", "z"], "p")
    g.node("DequantizeLinear", ["p", "t", "z"], "y")
    return g.save(path, {"x": shapes[0]}, {"y": shapes[1]})


@pytest.mark.parametrize("name", ASYMMETRIC)
def test_asymmetric_weights_compute_the_same(name: str, tmp_path: Path) -> None:
    done = convert(asymmetric(name, tmp_path / "odd.onnx"), tmp_path, ConvertOptions())
    assert done.parity[0].max_abs <= 1
    is_wide = ASYMMETRIC[name][-1]
    assert ("GATHER" in done.report["operators"]) is is_wide
    assert any("input channels again" in text for text in done.warnings) is is_wide
    model = read_model(done.path.read_bytes())
    for tensor in model.subgraphs[0].tensors:
        if model.buffers[tensor.buffer].data is not None and tensor.type == 9:  # INT8, constant
            assert not np.any(tensor.quantization.zeroPoint)


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    path = paired("Erf", {}, tmp_path / "erf.onnx")
    with pytest.raises(UnsupportedError, match=r"Erf \(node m_node\)"):
        convert(path, tmp_path, ConvertOptions())
