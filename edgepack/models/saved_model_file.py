"""TensorFlow SavedModel folders: recognised and measured here, opened in a child process."""

from __future__ import annotations

from pathlib import Path

from edgepack.errors import ModelError
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.isolate import Task, require_package, run_task
from edgepack.models.keras_file import LOAD_MEMORY_MB, LOAD_SECONDS

GRAPH = "saved_model.pb"
MAX_FOLDER_BYTES = 4 * 2**30
MAX_FILES = 1000


def is_saved_model(path: Path) -> bool:
    """Whether a folder is a SavedModel."""
    return (path / GRAPH).is_file()


def check_saved_model(path: Path, trust_model_code: bool = False) -> None:
    """Refuse a folder that is too large, or that links to files outside it.

    Raises:
        ModelError: it is one of these, or has no graph.
    """
    if not is_saved_model(path):
        raise ModelError(f"{path} has no {GRAPH}", allowed="the folder that model.export() writes")
    total = 0
    for number, file in enumerate(path.rglob("*")):
        if number >= MAX_FILES:
            raise ModelError(f"{path} holds more than {MAX_FILES} files")
        if not file.resolve().is_relative_to(path.resolve()):
            raise ModelError(f"{path} links to a file outside it: {file.relative_to(path)}")
        total += file.stat().st_size if file.is_file() else 0
    if total > MAX_FOLDER_BYTES:
        raise ModelError(f"{path} has {total} bytes", allowed=f"at most {MAX_FOLDER_BYTES}")


def load_saved_model(path: Path) -> ModelHandle:
    """Describe a SavedModel.

    Raises:
        ModelError: it is damaged, or has no signature to serve.
        UnsupportedError: its graph reads or writes files, or calls Python.
        MissingToolError: TensorFlow is not installed.
        ConversionError: the child that opened it crashed.
    """
    check_saved_model(path)
    require_package("tensorflow", extra="tf", why=f"to open {path.name}")
    task = Task(
        "edgepack.models.saved_model_child:describe_file",
        {"path": str(path.resolve())},
        what=f"loading {path.name}",
        timeout=LOAD_SECONDS,
        memory_mb=LOAD_MEMORY_MB,
    )
    return ModelHandle.from_description(path, ModelFormat.SAVED_MODEL, run_task(task))
