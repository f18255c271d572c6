"""Fixed shapes in a `.tflite` that was written with open ones, and what follows from them.

LiteRT computes every shape; what only depends on shapes and constants (SHAPE, PACK, the slices
between them) is then a constant itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import ConversionError, UnsupportedError
from edgepack.models.tflite_file import text
from edgepack.types import Array, Shape

# Larger than any shape or index; weights that are computed from constants stay operators.
_MAX_ELEMENTS = 4096
# Operators with a state, or whose result differs from one inference to the next.
_NEVER = (
    "ASSIGN_VARIABLE", "CALL_ONCE", "DEQUANTIZE", "IF", "MULTINOMIAL", "RANDOM_STANDARD_NORMAL",
    "RANDOM_UNIFORM", "READ_VARIABLE", "VAR_HANDLE", "WHILE",
)  # fmt: skip


def has_open_shapes(model: Any) -> bool:
    """Whether a tensor says that one of its sizes is open, or an operator asks for a shape."""
    editor = Editor(model)
    if any(True for _ in editor.sites("SHAPE")):
        return True
    return any(
        tensor.shapeSignature is not None and -1 in list(tensor.shapeSignature)
        for tensor in model.subgraphs[0].tensors or []
    )


def fold_shapes(data: bytes, shapes: Sequence[Shape]) -> bytes:
    """The same model at fixed input shapes.

    Args:
        data: a `.tflite`.
        shapes: of its inputs, in its order, without -1.

    Raises:
        ConversionError: LiteRT cannot run it at these shapes.
        UnsupportedError: a shape depends on the values of an input.
    """
    interpreter = _at_shapes(data, shapes)
    model = read_model(data)
    editor, main = Editor(model), model.subgraphs[0]
    values = _from_constants(editor, main, interpreter)
    for detail in interpreter.get_tensor_details():
        index = int(detail["index"])
        if index < len(main.tensors):
            main.tensors[index].shape = np.array(detail["shape"], np.int32)
    for tensor in main.tensors:  # those of a loop's body are the frontend's to settle
        tensor.shapeSignature = None
    for index, value in values.items():
        _make_constant(model, main.tensors[index], value)
    main.operators = [
        operator
        for operator in main.operators
        if not all(int(i) in values for i in operator.outputs)
    ]
    _check_reached(main, interpreter)
    editor.sweep()
    return write_model(model)


def _at_shapes(data: bytes, shapes: Sequence[Shape]) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter(
            model_content=data,
            num_threads=1,
            experimental_op_resolver_type=kernels,
            experimental_preserve_all_tensors=True,
        )
        for detail, shape in zip(interpreter.get_input_details(), shapes, strict=True):
            interpreter.resize_tensor_input(detail["index"], list(shape))
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        first = " ".join(str(error).split())[:300]
        raise ConversionError(
            f"the model cannot run at the input shapes {[list(shape) for shape in shapes]}: {first}"
        ) from error
    return interpreter


def _from_constants(editor: Editor, graph: Any, interpreter: Any) -> dict[int, Array]:
    """The small tensors that depend on shapes and constants alone, with their values."""
    known: dict[int, Array] = {}
    for operator in graph.operators:
        inputs = [int(i) for i in operator.inputs] if operator.inputs is not None else []
        name = editor.name(operator)
        if name in _NEVER or operator.outputs is None:
            continue
        settled = name == "SHAPE" or all(
            i < 0 or i in known or editor.constant(graph, i) is not None for i in inputs
        )
        if not settled or not inputs:
            continue
        values = [np.array(interpreter.get_tensor(int(i))) for i in operator.outputs]
        if all(value.size <= _MAX_ELEMENTS for value in values):
            known |= {int(i): v for i, v in zip(operator.outputs, values, strict=True)}
    return known


def _make_constant(model: Any, tensor: Any, value: Array) -> None:
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    tensor.shape = np.array(value.shape, np.int32)


def _check_reached(graph: Any, interpreter: Any) -> None:
    """Refuse a tensor whose size only an inference tells: its shape depends on values.

    Raises:
        UnsupportedError: there is one.
    """
    for detail in interpreter.get_tensor_details():
        index = int(detail["index"])
        if index < len(graph.tensors) and -1 in list(detail["shape"]):
            raise UnsupportedError(
                f"the shape of {text(graph.tensors[index].name)} depends on the input's values",
                allowed="fixed shapes: the memory is planned before the program runs",
            )
