"""ONNX files: recognised and measured here, parsed in a child process."""

from __future__ import annotations

from pathlib import Path

from edgepack.errors import ModelError
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.isolate import Task, require_package, run_task
from edgepack.models.keras_file import LOAD_SECONDS

MAX_FILE_BYTES = 2 * 2**30  # a protobuf message cannot be larger
MAX_NEIGHBOURS = 1000
_WIRE_TYPES = (0, 1, 2, 5)  # of a protobuf field's key, protobuf.dev/programming-guides/encoding


def check_onnx(path: Path, trust_model_code: bool = False) -> None:
    """Refuse what cannot be an ONNX file; the native parser that reads the rest runs in a child.

    Raises:
        ModelError: it is missing, empty, too large, or begins otherwise.
    """
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist", allowed="the path of a .onnx file")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ModelError(
            f"{path} has {size} bytes",
            allowed=f"at most {MAX_FILE_BYTES}; larger weights go into a file of their own beside "
            "it (external data)",
        )
    with path.open("rb") as file:
        begin = file.read(1)
    if not begin or begin[0] & 7 not in _WIRE_TYPES or begin[0] >> 3 == 0:
        raise ModelError(
            f"{path} is no ONNX file: it begins with {begin!r}",
            allowed="a model saved with torch.onnx.export or onnx.save",
        )


def external_files(path: Path) -> list[Path]:
    """The files beside a model whose names occur in it: what it may keep its weights in.

    They belong to the model's content. It may name more than it uses; whether a name is allowed is
    for the child to say, which parses the model.
    """
    content = path.read_bytes()
    if b"location" not in content:  # the key of external data (onnx.proto, TensorProto)
        return []
    found = []
    for number, file in enumerate(sorted(path.parent.rglob("*"))):
        if number >= MAX_NEIGHBOURS:
            break
        name = file.relative_to(path.parent).as_posix()
        if file.is_file() and not file.is_symlink() and file != path and name.encode() in content:
            found.append(file)
    return found


def load_onnx(path: Path) -> ModelHandle:
    """Describe an ONNX file.

    Raises:
        ModelError: it is missing or damaged, or names files outside its folder.
        UnsupportedError: an element type that edgepack has no name for.
        MissingToolError: onnx is not installed.
        ConversionError: the child that opened it crashed.
    """
    check_onnx(path)
    require_package("onnx", extra="onnx", why=f"to open {path.name}")
    task = Task(
        "edgepack.models.onnx_child:describe_file",
        {"path": str(path.resolve())},
        what=f"loading {path.name}",
        timeout=LOAD_SECONDS,
        tensorflow=False,
    )
    return ModelHandle.from_description(path, ModelFormat.ONNX, run_task(task))
