"""ONNX models that tests convert, made in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.types import Array

SIZE = 16


class Graph:
    """Collects nodes and constants of a small float graph."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def floats(self, name: str, *shape: int, scale: float = 1.0) -> str:
        return self.constant(name, self.generator.normal(0, scale, shape).astype(np.float32))

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{name}_node", **attributes))
        return name

    def conv(self, x: str, name: str, size: tuple[int, int, int], **attributes: Any) -> str:
        """A convolution; `size` is (inputs per group, outputs, kernel)."""
        inputs, outputs, kernel = size
        w = self.floats(f"{name}_w", outputs, inputs, kernel, kernel, scale=(2 / inputs) ** 0.5 / 3)
        b = self.floats(f"{name}_b", outputs, scale=0.1)
        attributes.setdefault("pads", [kernel // 2] * 4)
        return self.node("Conv", [x, w, b], name, kernel_shape=[kernel] * 2, **attributes)

    def save(
        self, path: Path, inputs: dict[str, Sequence[Any]], outputs: dict[str, Sequence[Any]]
    ) -> Path:
        import onnx
        from onnx import TensorProto, helper

        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
            self.constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
            producer_name="tests",
            producer_version="1.0",
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
        return path


def save_cnn(path: Path) -> Path:
    """Most of what image networks are made of, with an open batch."""
    g = Graph()
    x = g.node("Relu", [g.conv("x", "c1", (3, 8, 3), strides=[2, 2])], "r1")
    g.conv(x, "dw", (1, 8, 3), group=8)
    low, high = (g.constant(n, np.float32(v)) for n, v in (("low", 0), ("high", 6)))
    y = g.conv(g.node("Clip", ["dw", low, high], "r6"), "pw", (8, 8, 1))
    g.node("Add", [x, y], "add")
    g.node("MaxPool", ["add"], "mp", kernel_shape=[2, 2], strides=[2, 2])
    g.node("Concat", [g.conv("mp", "c2", (8, 8, 3)), g.conv("mp", "c3", (8, 4, 1))], "cat", axis=1)
    g.node("Mul", ["cat", g.node("Sigmoid", ["cat"], "gate")], "swish")
    g.node("AveragePool", ["swish"], "ap", kernel_shape=[2, 2], strides=[2, 2])
    g.node("Flatten", ["ap"], "flat")
    rows = 12 * (SIZE // 8) ** 2
    dense = [g.floats("d_w", rows, 16, scale=0.2), g.floats("d_b", 16, scale=0.1)]
    g.node("Relu", [g.node("Gemm", ["flat", *dense], "dense")], "r2")
    g.node("MatMul", ["r2", g.floats("m_w", 16, 10, scale=0.4)], "logits")
    g.node("Softmax", ["logits"], "y", axis=-1)
    return g.save(path, {"x": ["N", 3, SIZE, SIZE]}, {"y": ["N", 10]})


def quantize(source: Path, target: Path, form: str, shape: Sequence[int]) -> Path:
    """Quantize with ONNX Runtime: `form` is QDQ or QOperator, with `u` behind it for uint8."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    unsigned = form.endswith("u")
    quantize_static(
        source,
        target,
        _Samples(shape),
        quant_format=QuantFormat[form.removesuffix("u")],
        activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=not unsigned,
    )
    return target


class _Samples:
    """Calibration samples; not of the library's base class, whose import takes a second."""

    def __init__(self, shape: Sequence[int]) -> None:
        generator = np.random.default_rng(1)
        samples: list[dict[str, Array]] = [
            {"x": generator.normal(size=shape).astype(np.float32)} for _ in range(12)
        ]
        self._samples = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)
