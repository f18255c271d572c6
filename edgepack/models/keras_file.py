"""`.keras` files (Keras 3), checked here and opened in a child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.isolate import Task, require_package, run_task
from edgepack.models.keras_archive import check_keras_archive

LOAD_MEMORY_MB = 6144  # TensorFlow, and a few times the weights of a network for a phone
LOAD_SECONDS = 120.0  # import TensorFlow and rebuild the network, on a slow machine


def load_keras_file(path: Path) -> ModelHandle:
    """Describe a `.keras` file.

    Raises:
        ModelError: it is missing, damaged, or Keras cannot rebuild it.
        UnsupportedError: it holds a Lambda layer or a custom class.
        MissingToolError: TensorFlow is not installed.
        ConversionError: the child that opened it crashed.
    """
    check_keras_archive(path)
    require_package("tensorflow", extra="tf", why=f"to open {path.name}")
    task = Task(
        "edgepack.models.keras_child:describe_file",
        {"path": str(path.resolve())},
        what=f"loading {path.name}",
        timeout=LOAD_SECONDS,
        memory_mb=LOAD_MEMORY_MB,
    )
    return handle_from(path, run_task(task))


def check_keras(path: Path, trust_model_code: bool = False) -> None:
    """Refuse a `.keras` file that is damaged or could do harm, before anything of it is unpacked.

    Raises:
        ModelError, UnsupportedError: as `check_keras_archive`.
    """
    check_keras_archive(path, trust_model_code=trust_model_code)


def handle_from(path: Path, description: dict[str, Any]) -> ModelHandle:
    """The handle of a `.keras` file from what `keras_child.describe` said of it."""
    return ModelHandle.from_description(path, ModelFormat.KERAS, description)
