"""Any model file -> `ModelHandle`: the table of formats.

To read another format: add it to `ModelFormat`, write its loader in a file of its own, and add a
row to `LOADERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.keras_file import load_keras_file
from edgepack.models.tflite_file import load_tflite

Loader = Callable[[Path], ModelHandle]

SUFFIXES = {".tflite": ModelFormat.TFLITE, ".keras": ModelFormat.KERAS}
LOADERS: dict[ModelFormat, Loader] = {
    ModelFormat.TFLITE: load_tflite,
    ModelFormat.KERAS: load_keras_file,
}


def format_of(path: Path) -> ModelFormat:
    """The format that a file's name announces.

    Raises:
        UnsupportedError: edgepack reads no such format.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise UnsupportedError(
            f"{path.name} is of no format that edgepack reads", allowed=", ".join(sorted(SUFFIXES))
        ) from None


def load_model(path: Path) -> ModelHandle:
    """Read what a model file is, without keeping it in memory.

    Raises:
        ModelError: it is missing or damaged.
        UnsupportedError: its format, or something in it, is not supported.
        MissingToolError: its format needs a package that is not installed.
    """
    if not path.exists():
        allowed = f"a file ending in {', '.join(sorted(SUFFIXES))}"
        raise ModelError(f"model file {path} does not exist", allowed=allowed)
    return LOADERS[format_of(path)](path)
