"""int8 `.tflite` bytes -> ONNX bytes, checked with the ONNX checker and against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model
from edgepack.convert.onnx_out.builder import ALLOWED, FLOAT, Builder
from edgepack.convert.onnx_out.ops import OPS
from edgepack.convert.ort import OrtRunner
from edgepack.convert.parity import LiteRt
from edgepack.convert.report import Parity
from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import ConversionError, MissingToolError, UnsupportedError
from edgepack.models.isolate import has_package
from edgepack.types import Array, DType

OPSET, IR_VERSION = 17, 8  # ONNX 1.12, which OpenVINO and TensorRT have read for years
SAMPLES = 8
_SEED = 0
# Of the outputs' range. A pair rounds from the exact sum, TFLite from a fixed-point product: one
# step per layer at most, and some of them add up.
MAX_RELATIVE = 0.1


def to_onnx_qdq(data: bytes) -> tuple[bytes, list[str], list[Parity]]:
    """Write a model as ONNX.

    Returns:
        the file, what the user should know, and how its outputs compare with LiteRT's.

    Raises:
        UnsupportedError: the model is not int8, or an operator has no form in ONNX here.
        MissingToolError: onnx or onnxruntime is not installed.
        ConversionError: the result is wrong, which would be a defect.
    """
    for package in ("onnx", "onnxruntime"):
        if not has_package(package):
            raise MissingToolError(
                f"the Python package {package} is needed to write ONNX and is not installed",
                next_step="pip install 'edgepack[onnx]'",
            )
    proto, editor = build(data)
    parity = _compare(proto, data, editor)
    if parity.max_relative > MAX_RELATIVE:
        raise ConversionError(
            f"the ONNX model does not compute what the .tflite does: {parity}",
            allowed=f"{MAX_RELATIVE:g} of the outputs' range",
            next_step="report this model as a defect of the converter",
        )
    note = (
        "inputs and outputs of the ONNX model are float and in the .tflite's order of axes; their "
        "scales are in its first and last pairs"
    )
    return proto.SerializeToString(), [note], [parity]


def build(data: bytes) -> tuple[Any, Editor]:
    """The ModelProto of a `.tflite`, and the latter as it was read."""
    import onnx
    from onnx import helper

    import edgepack

    model = read_model(data)
    editor = Editor(model)
    b = Builder(editor)
    _check(editor, b)
    inputs, outputs = [], []
    for index in [int(i) for i in b.graph.inputs]:
        name = b.name(b.label(index))
        inputs.append(helper.make_tensor_value_info(name, FLOAT, list(b.shape(index))))
        b.set(index, name)
    for operator in b.graph.operators:
        site = next(s for s in editor.sites(editor.name(operator)) if s.operator is operator)
        OPS[editor.name(operator)](b, site)
    for index in [int(i) for i in b.graph.outputs]:
        name = b.node("Identity", [b.get(index)], b.label(index))
        outputs.append(helper.make_tensor_value_info(name, FLOAT, list(b.shape(index))))
    graph = helper.make_graph(b.nodes, "edgepack", inputs, outputs, b.constants)
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edgepack",
        producer_version=edgepack.__version__,
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto, editor


def _check(editor: Editor, b: Builder) -> None:
    if len(editor.model.subgraphs) != 1:
        raise UnsupportedError("a model of several graphs cannot be written as onnx-qdq")
    unknown = sorted({editor.name(o) for o in b.graph.operators} - set(OPS))
    if unknown:
        raise UnsupportedError(
            f"no way is known to write {', '.join(unknown)} as onnx-qdq", allowed=", ".join(OPS)
        )
    ends = [int(i) for i in (*b.graph.inputs, *b.graph.outputs)]
    types = {i: b.dtype(i) for i in ends}
    if not any(
        editor.dtype(b.graph, int(i)) is DType.INT8 for o in b.graph.operators for i in o.outputs
    ):
        raise UnsupportedError("the model has no int8 tensors", allowed=ALLOWED)
    for index, dtype in types.items():
        if dtype not in (DType.INT8, DType.FLOAT32):
            raise UnsupportedError(f"{b.label(index)} is {dtype.value}", allowed=ALLOWED)


def _compare(proto: Any, data: bytes, editor: Editor) -> Parity:
    """ONNX Runtime against LiteRT on seeded samples; differences in float, over the range."""
    reference, runner = LiteRt(data), OrtRunner(proto, optimized=True)
    graph = editor.model.subgraphs[0]
    b = Builder(editor)
    generator = np.random.default_rng(_SEED)
    max_abs = max_relative = 0.0
    unequal = values = 0
    for _ in range(SAMPLES):
        stored = tuple(_sample(generator, b, int(i)) for i in graph.inputs)
        wanted = reference(stored)
        got = runner(tuple(_real(b, int(i), a) for i, a in zip(graph.inputs, stored, strict=True)))
        for index, want, have in zip(graph.outputs, wanted, got, strict=True):
            real = _real(b, int(index), want)
            difference = np.abs(real.astype(np.float64) - have)
            quantization = b.quantization(int(index))
            span = float(real.max() - real.min()) or 1.0
            if quantization is not None and b.dtype(int(index)) is DType.INT8:
                span = 255 * float(quantization[0][0])
            values += difference.size
            unequal += int(np.count_nonzero(difference > 1e-6 * span))
            max_abs = max(max_abs, float(difference.max(initial=0.0)))
            max_relative = max(max_relative, float(difference.max(initial=0.0)) / span)
    return Parity("random", SAMPLES, max_abs, max_relative, unequal, values)


def _sample(generator: np.random.Generator, b: Builder, tensor: int) -> Array:
    shape = b.shape(tensor)
    if b.dtype(tensor) is DType.INT8:
        return generator.integers(-128, 128, shape).astype(np.int8)
    return generator.normal(size=shape).astype(np.float32)


def _real(b: Builder, tensor: int, array: Array) -> Array:
    """Stored values as the real numbers that they stand for, as DequantizeLinear computes them."""
    quantization = b.quantization(tensor)
    if array.dtype == np.float32 or quantization is None:
        return array
    scale, zero, _ = quantization
    return (array.astype(np.float32) - np.float32(zero[0])) * scale[0]
