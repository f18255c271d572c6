"""`.tflite` files through the flatbuffer schema's object API: no TensorFlow, no native parser."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models.handle import ModelFormat, ModelHandle, TensorSpec, sha256_of
from edgepack.models.unreadable import ZIP_ERRORS
from edgepack.types import DType

IDENTIFIER = b"TFL3"  # bytes 4..7 of every TFLite flatbuffer (TFLite schema.fbs, file_identifier)
MAX_LABEL_BYTES = 1 << 20
MAX_FILE_BYTES = 2**31 - 1  # a flatbuffer cannot be larger: its offsets are 32 bits, signed
_MIN_FILE_BYTES = 16


def read_tflite(path: Path) -> Any:
    """The file as a `schema_py_generated.ModelT`, checked as far as every reader relies on it.

    Raises:
        ModelError: it is missing, too large, not a TFLite flatbuffer, truncated, or refers to
            tensors, buffers or operator codes that do not exist.
    """
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist", allowed="the path of a .tflite file")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ModelError(
            f"{path} has {size} bytes: more than a flatbuffer can hold",
            allowed=f"at most {MAX_FILE_BYTES} bytes",
        )
    return parse_tflite(path.read_bytes(), str(path))


def parse_tflite(data: bytes, source: str) -> Any:
    """The same of a file's bytes; `source` is what errors call it."""
    from ai_edge_litert import schema_py_generated as schema

    if len(data) < _MIN_FILE_BYTES or data[4:8] != IDENTIFIER:
        raise ModelError(
            f"{source} is not a TFLite model: bytes 4..7 are {data[4:8]!r}",
            allowed=f"a flatbuffer with the identifier {IDENTIFIER!r}",
        )
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    # What a damaged offset makes the generated reader raise is anything that indexing bytes can:
    # struct.error, TypeError, ValueError, IndexError, OverflowError, MemoryError ...
    except Exception as error:
        raise ModelError(
            f"{source} is truncated or corrupt: {type(error).__name__} while reading it ({error})",
            next_step="export or copy the model again",
        ) from error
    problem = _inconsistency(model)
    if problem:
        raise ModelError(
            f"{source} is corrupt: {problem}", next_step="export or copy the model again"
        )
    return model


def _inconsistency(model: Any) -> str | None:
    """What is wrong with the references inside a model, or None."""
    if not model.subgraphs or not model.operatorCodes or not model.buffers:
        return "it has no subgraph, no operator or no buffer"
    for graph_index, graph in enumerate(model.subgraphs):
        tensors = [] if graph.tensors is None else graph.tensors
        for index, tensor in enumerate(tensors):
            if not 0 <= tensor.buffer < len(model.buffers):
                return f"tensor {index} of subgraph {graph_index} names buffer {tensor.buffer}"
        used = [("subgraph", graph.inputs), ("subgraph", graph.outputs)]
        for index, operator in enumerate(graph.operators or []):
            if not 0 <= operator.opcodeIndex < len(model.operatorCodes):
                return f"operator {index} names operator code {operator.opcodeIndex}"
            used += [
                (f"operator {index}", operator.inputs),
                (f"operator {index}", operator.outputs),
            ]
        for owner, indices in used:
            for tensor_index in [] if indices is None else indices:
                # -1 marks an optional operand that is absent (schema.fbs, Operator.inputs)
                if not -1 <= tensor_index < len(tensors):
                    return f"{owner} of subgraph {graph_index} names tensor {tensor_index}"
    return None


def type_name(code: int) -> str:
    """The schema's name of a TensorType value, such as `INT8`; `type 99` for an unknown one."""
    return _enum_name("TensorType", code) or f"type {code}"


def operator_name(model: Any, operator: Any) -> str:
    """The schema's name of an operator, such as `CONV_2D`; `CUSTOM (x)` names a custom one."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Files from before schema 3a hold the code only in the deprecated 8-bit field, and the larger
    # of the two is the one that counts (schema.fbs, OperatorCode).
    name = _enum_name("BuiltinOperator", max(code.builtinCode, code.deprecatedBuiltinCode))
    if name == "CUSTOM":
        return f"CUSTOM ({text(code.customCode)})"
    return name or f"operator {code.builtinCode}"


def text(value: Any) -> str:
    """A flatbuffer string (bytes or None) as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _enum_name(enum: str, code: int) -> str | None:
    from ai_edge_litert import schema_py_generated as schema

    for name, value in vars(getattr(schema, enum)).items():
        if not name.startswith("_") and value == code:
            return str(name)
    return None


def tensor_spec(tensor: Any) -> TensorSpec:
    """One tensor's name, shape (-1 where it is open), dtype and per-tensor quantization.

    Raises:
        UnsupportedError: an element type that edgepack has no name for (complex, string, ...).
    """
    name = text(tensor.name)
    stored = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    shape = tuple(int(size) for size in ([] if stored is None else stored))
    scale = zero_point = None
    quantization = tensor.quantization
    scales = None if quantization is None else quantization.scale
    if scales is not None and len(scales) == 1:
        points = quantization.zeroPoint
        scale = float(scales[0])
        zero_point = int(points[0]) if points is not None and len(points) else 0
    return TensorSpec(name, shape, _dtype(tensor), scale, zero_point)


def _dtype(tensor: Any) -> DType:
    name = type_name(tensor.type)
    try:
        return DType(name)
    except ValueError:
        raise UnsupportedError(
            f"tensor {text(tensor.name)!r} has element type {name}",
            allowed=", ".join(dtype.value for dtype in DType),
        ) from None


def check_tflite(path: Path, trust_model_code: bool = False) -> None:
    """Refuse what is no `.tflite` file; a `.tflite` holds no code to trust.

    Raises:
        ModelError: it is missing, too large, or begins otherwise.
    """
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist", allowed="the path of a .tflite file")
    with path.open("rb") as file:
        begin = file.read(_MIN_FILE_BYTES)
    if begin[4:8] != IDENTIFIER:
        raise ModelError(
            f"{path} is not a TFLite model: bytes 4..7 are {begin[4:8]!r}",
            allowed=f"a flatbuffer with the identifier {IDENTIFIER!r}",
        )


def load_tflite(path: Path) -> ModelHandle:
    """Read a `.tflite` file.

    Raises:
        ModelError: it is missing, truncated or corrupt.
        UnsupportedError: it holds an element type that edgepack does not know.
    """
    model = read_tflite(path)
    main = model.subgraphs[0]
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors or []]
    used = {_dtype(tensor) for tensor in tensors}

    def specs(indices: Any) -> tuple[TensorSpec, ...]:
        return tuple(tensor_spec(main.tensors[i]) for i in ([] if indices is None else indices))

    return ModelHandle(
        path=path,
        format=ModelFormat.TFLITE,
        sha256=sha256_of(path),
        inputs=specs(main.inputs),
        outputs=specs(main.outputs),
        dtypes=tuple(dtype for dtype in DType if dtype in used),
        parameters=sum(_parameters(model, tensor) for tensor in tensors),
        producer=text(model.description) or None,
        labels=labels_of(path),
    )


def labels_of(path: Path) -> tuple[str, ...] | None:
    """The class names that TFLite metadata carries: a zip behind the flatbuffer, with text files.

    None where there are none; a label file that is damaged or too large counts as none, since
    nothing but a list for the reader depends on it.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".txt") and "label" in n.lower()]
            if not names or archive.getinfo(names[0]).file_size > MAX_LABEL_BYTES:
                return None
            lines = archive.read(names[0]).decode("utf-8").splitlines()
    except ZIP_ERRORS:
        return None
    return tuple(line.strip() for line in lines if line.strip()) or None


def _parameters(model: Any, tensor: Any) -> int:
    """Elements of a constant that was learned; 0 for an activation and for axes and shapes."""
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0:
        return 0
    quantized = tensor.quantization is not None and tensor.quantization.scale is not None
    if type_name(tensor.type) in ("INT32", "INT64") and not quantized:
        return 0
    return math.prod(int(size) for size in ([] if tensor.shape is None else tensor.shape))
