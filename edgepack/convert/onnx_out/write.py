"""int8 `.tflite` bytes -> ONNX bytes, checked with the ONNX checker and against ONNX Runtime."""

from __future__ import annotations

from typing import Any

from edgepack.convert.flatbuffer import read_model
from edgepack.convert.onnx_out.builder import ALLOWED, FLOAT, TO_FIRST, Builder
from edgepack.convert.onnx_out.compare import compare_apart, compare_whole
from edgepack.convert.onnx_out.ops import OPS
from edgepack.convert.report import Parity
from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import MissingToolError, UnsupportedError
from edgepack.models.isolate import has_package
from edgepack.types import DType

OPSET, IR_VERSION = 17, 8  # ONNX 1.12, which OpenVINO and TensorRT have read for years


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
    editor = Editor(read_model(data))
    proto = build(editor)
    notes = [
        "inputs and outputs of the ONNX model are float and in the .tflite's order of axes; their "
        "scales are in its first and last pairs",
        compare_apart(build, editor, data),
    ]
    return proto.SerializeToString(), notes, [compare_whole(proto, editor, data)]


def build(editor: Editor, b: Builder | None = None) -> Any:
    """The ModelProto of a `.tflite`; `b` is a builder other than the ordinary one."""
    import onnx
    from onnx import helper

    import edgepack

    b = b or Builder(editor)
    _check(editor, b)
    inputs, outputs = [], []
    for index in [int(i) for i in b.graph.inputs]:
        name = b.name(b.label(index))
        inputs.append(helper.make_tensor_value_info(name, FLOAT, list(b.shape(index))))
        b.set(index, name, is_input=True)
    for operator in b.graph.operators:
        site = next(s for s in editor.sites(editor.name(operator)) if s.operator is operator)
        OPS[editor.name(operator)](b, site)
    for index, name in b.given().items():
        inputs.append(helper.make_tensor_value_info(name, FLOAT, list(b.shape(index))))
    for index in [] if b.apart else [int(i) for i in b.graph.outputs]:
        name = b.node("Identity", [b.get(index)], b.label(index))
        outputs.append(helper.make_tensor_value_info(name, FLOAT, list(b.shape(index))))
    for index, name, first in b.made:
        shape = [b.shape(index)[axis] for axis in TO_FIRST] if first else list(b.shape(index))
        outputs.append(helper.make_tensor_value_info(name, FLOAT, shape))
    graph = helper.make_graph(b.nodes, "edgepack", inputs, outputs, b.constants)
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edgepack",
        producer_version=edgepack.__version__,
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


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
