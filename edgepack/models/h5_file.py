"""Keras 2 and Keras 3 `.h5` files: recognised here, checked and opened in a child process."""

from __future__ import annotations

from pathlib import Path

from edgepack.errors import ModelError
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.isolate import Task, require_package, run_task
from edgepack.models.keras_file import LOAD_MEMORY_MB, LOAD_SECONDS

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # HDF5 File Format Specification 3.0, II.A
MAX_FILE_BYTES = 4 * 2**30


def check_h5(path: Path, trust_model_code: bool = False) -> None:
    """Refuse what is no HDF5 file; the native library that reads the rest runs in a child.

    Raises:
        ModelError: it is missing, too large, or begins otherwise.
    """
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist", allowed="the path of a .h5 file")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ModelError(f"{path} has {size} bytes", allowed=f"at most {MAX_FILE_BYTES}")
    with path.open("rb") as file:
        begin = file.read(len(SIGNATURE))
    if begin != SIGNATURE:
        raise ModelError(
            f"{path} is no HDF5 file: it begins with {begin!r}",
            allowed="a model saved with model.save('model.h5')",
        )


def load_h5(path: Path) -> ModelHandle:
    """Describe a `.h5` file.

    Raises:
        ModelError: it is missing, damaged, or Keras cannot rebuild it.
        UnsupportedError: it holds a Lambda layer or a custom class.
        MissingToolError: TensorFlow is not installed.
        ConversionError: the child that opened it crashed.
    """
    check_h5(path)
    require_package("tensorflow", extra="tf", why=f"to open {path.name}")
    task = Task(
        "edgepack.models.keras_child:describe_file",
        {"path": str(path.resolve())},
        what=f"loading {path.name}",
        timeout=LOAD_SECONDS,
        memory_mb=LOAD_MEMORY_MB,
    )
    return ModelHandle.from_description(path, ModelFormat.KERAS_H5, run_task(task))
