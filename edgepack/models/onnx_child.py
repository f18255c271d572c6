"""What runs with the onnx package in the child process: parse, check, describe."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models.progress import Progress
from edgepack.types import DType

# 1 GB as float32: no device that edgepack builds for holds a tensor of that size.
MAX_ELEMENTS = 2**28
MAX_DEPTH = 16  # of graphs inside nodes (If, Loop)
# TensorProto.DataType (onnx.proto)
DTYPES = {
    1: DType.FLOAT32, 2: DType.UINT8, 3: DType.INT8, 4: DType.UINT16, 5: DType.INT16,
    6: DType.INT32, 7: DType.INT64, 9: DType.BOOL, 10: DType.FLOAT16, 12: DType.UINT32,
}  # fmt: skip
_NEXT = "export the model again, and check it with onnx.checker.check_model"


def read_onnx(path: Path) -> Any:
    """Parse a file and its external data, both checked, as a ModelProto.

    Raises:
        ModelError: it is damaged, or names a file outside its folder.
        UnsupportedError: a tensor is larger than any device's memory.
    """
    import onnx

    try:
        proto = onnx.load_model(str(path), load_external_data=False)
    # protobuf's DecodeError has no public class that all of its versions share
    except Exception as error:
        raise _damaged(path, error) from error
    if not proto.HasField("graph") or not proto.graph.node or not proto.opset_import:
        raise ModelError(f"{path} holds no ONNX graph", next_step=_NEXT)
    external = [tensor for tensor in tensors_of(proto.graph, path) if check_tensor(tensor, path)]
    try:
        for tensor in external:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
        onnx.checker.check_model(proto)
    # the checker raises what its C++ code does
    except Exception as error:
        raise _damaged(path, error) from error
    return proto


def tensors_of(graph: Any, path: Path, depth: int = 0) -> Iterator[Any]:
    """Every TensorProto of a graph and the graphs inside its nodes.

    Raises:
        ModelError: they are nested too deep.
        UnsupportedError: a sparse tensor.
    """
    if depth > MAX_DEPTH:
        raise ModelError(f"{path} nests graphs deeper than {MAX_DEPTH}")
    if graph.sparse_initializer:
        raise UnsupportedError(
            f"{path.name} holds sparse weights", allowed="dense weights", next_step=_NEXT
        )
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from tensors_of(attribute.g, path, depth + 1)
            for inner in attribute.graphs:
                yield from tensors_of(inner, path, depth + 1)


def check_tensor(tensor: Any, path: Path) -> bool:
    """Check what a constant claims; whether its bytes are in another file.

    Raises:
        ModelError: its size contradicts its bytes, or the other file is outside the model's folder.
        UnsupportedError: it is larger than any device's memory.
    """
    shape = tuple(tensor.dims)
    count = math.prod(shape)
    if any(size < 0 for size in shape) or count > MAX_ELEMENTS:
        raise UnsupportedError(
            f"the constant {tensor.name} of {path.name} has {count:,} elements: {list(shape)}",
            allowed=f"at most {MAX_ELEMENTS:,}",
        )
    dtype = DTYPES.get(tensor.data_type)
    # TensorProto.EXTERNAL
    if tensor.data_location != 1:
        if tensor.HasField("raw_data") and dtype is not None:
            _check_bytes(tensor.name, len(tensor.raw_data), count * dtype.itemsize, path)
        return False
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    file = _external(location, tensor.name, path)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(file.stat().st_size - offset)))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {tensor.name} has an odd offset or length") from error
    if offset < 0 or length < 0 or offset + length > file.stat().st_size:
        raise ModelError(
            f"{tensor.name} of {path.name} takes bytes {offset} to {offset + length} of "
            f"{location}, which has {file.stat().st_size}"
        )
    if dtype is not None:
        _check_bytes(tensor.name, length, count * dtype.itemsize, path)
    return True


def _external(location: str, name: str, path: Path) -> Path:
    """The file that holds a tensor; inside the model's folder and reached without links."""
    parts = PurePosixPath(location).parts
    bad = not parts or location.startswith("/") or ".." in parts or "\\" in location
    if bad or ":" in parts[0] or "\0" in location:
        raise ModelError(
            f"{path.name} keeps {name} in {location!r}",
            allowed="a file in the folder of the model or below",
        )
    file = path.parent
    for part in parts:
        file = file / part
        if file.is_symlink():
            raise ModelError(
                f"{path.name} keeps {name} in {location!r}, which is a link",
                allowed="a file in the folder of the model or below",
            )
    if not file.is_file():
        raise ModelError(
            f"{path.name} keeps {name} in {location}, which is not beside it",
            next_step=f"copy {location} into {path.parent}",
        )
    return file


def _check_bytes(name: str, have: int, want: int, path: Path) -> None:
    if have != want:
        raise ModelError(
            f"{path} is damaged: the constant {name} has {have} bytes, its shape asks for {want}"
        )


def _damaged(path: Path, error: Exception) -> ModelError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2])[:300] or type(error).__name__
    return ModelError(f"{path} cannot be read as ONNX: {text}", next_step=_NEXT)


def describe(proto: Any, path: Path) -> dict[str, Any]:
    """What a `ModelHandle` says, of a model that `read_onnx` returned.

    Raises:
        UnsupportedError: an input or output of an element type that edgepack has no name for.
    """
    graph = proto.graph
    constants = {tensor.name for tensor in graph.initializer}
    weights = list(tensors_of(graph, path))
    types = {DTYPES[t.data_type] for t in weights if t.data_type in DTYPES and len(t.dims)}
    ends = {
        "inputs": [_spec(v, path) for v in graph.input if v.name not in constants],
        "outputs": [_spec(value, path) for value in graph.output],
    }
    types |= {DType(entry["dtype"]) for side in ends.values() for entry in side}
    opsets = {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import}
    producer = f"{proto.producer_name} {proto.producer_version}".strip()
    return {
        **ends,
        "dtypes": sorted(dtype.value for dtype in types),
        "parameters": sum(math.prod(t.dims) for t in graph.initializer if len(t.dims)),
        "producer": producer or None,
        "opset": ", ".join(f"{domain} {version}" for domain, version in sorted(opsets.items())),
        "labels": _labels(proto),
        "macs": None,
    }


def _spec(value: Any, path: Path) -> dict[str, Any]:
    kind = value.type.tensor_type
    dtype = DTYPES.get(kind.elem_type)
    if not value.type.HasField("tensor_type") or dtype is None:
        raise UnsupportedError(
            f"{value.name} of {path.name} is no tensor of a type that edgepack has",
            allowed=", ".join(sorted(dtype.value for dtype in DTYPES.values())),
        )
    if not kind.HasField("shape"):
        raise UnsupportedError(
            f"{value.name} of {path.name} has no shape, not even a number of dimensions",
            next_step="save the model after onnx.shape_inference.infer_shapes",
        )
    shape = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
    return {
        "name": value.name,
        "shape": [size if size > 0 else -1 for size in shape],
        "dtype": dtype.value,
        "scale": None,
        "zero_point": None,
    }


def _labels(proto: Any) -> list[str] | None:
    """Names of classes from the metadata, one per line or comma, under the keys in use."""
    for entry in proto.metadata_props:
        if entry.key.lower() in ("labels", "classes", "class_names"):
            parts = entry.value.replace("\n", ",").split(",")
            return [part.strip() for part in parts if part.strip()] or None
    return None


def describe_file(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Task: describe the model at `path`."""
    path = Path(arguments["path"])
    return describe(read_onnx(path), path)
