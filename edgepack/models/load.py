"""Any model file -> `ModelHandle`: the table of formats.

To read another format: add it to `ModelFormat`, write its loader in a file of its own, and add a
row to `FORMATS`. How it is converted stands in `edgepack/convert/table.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import ModelError, UnsupportedError
from edgepack.models.h5_file import SIGNATURE as H5_SIGNATURE
from edgepack.models.h5_file import check_h5, load_h5
from edgepack.models.handle import ModelFormat, ModelHandle
from edgepack.models.keras_file import check_keras, load_keras_file
from edgepack.models.onnx_file import check_onnx, load_onnx
from edgepack.models.pt2_file import check_pt2, load_pt2
from edgepack.models.saved_model_file import (
    check_saved_model,
    is_saved_model,
    load_saved_model,
)
from edgepack.models.tflite_file import IDENTIFIER as TFLITE_IDENTIFIER
from edgepack.models.tflite_file import check_tflite, load_tflite

Loader = Callable[[Path], ModelHandle]
# (path, trust_model_code): refuses what can be refused without the framework, in this process
Check = Callable[[Path, bool], None]


@dataclass(frozen=True)
class FormatRow:
    """One format: how its files are recognised, checked and described.

    `what` is for the user; `suffixes` are in lower case, none for a folder.
    """

    format: ModelFormat
    what: str
    suffixes: tuple[str, ...]
    check: Check
    load: Loader


FORMATS: dict[ModelFormat, FormatRow] = {
    row.format: row
    for row in (
        FormatRow(
            ModelFormat.TFLITE, "TensorFlow Lite (.tflite)", (".tflite",), check_tflite, load_tflite
        ),
        FormatRow(ModelFormat.KERAS, "Keras 3 (.keras)", (".keras",), check_keras, load_keras_file),
        FormatRow(ModelFormat.KERAS_H5, "Keras 2 or 3 (.h5)", (".h5", ".hdf5"), check_h5, load_h5),
        FormatRow(
            ModelFormat.SAVED_MODEL,
            "SavedModel (a folder with saved_model.pb)",
            (),
            check_saved_model,
            load_saved_model,
        ),
        FormatRow(ModelFormat.ONNX, "ONNX (.onnx)", (".onnx",), check_onnx, load_onnx),
        FormatRow(ModelFormat.PT2, "PyTorch (.pt2)", (".pt2",), check_pt2, load_pt2),
    )
}
SUFFIXES = {suffix: row.format for row in FORMATS.values() for suffix in row.suffixes}

# Files of these suffixes are Python pickles, which run any code of their author's when loaded.
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".bin")


def allowed_formats() -> str:
    """What edgepack reads, in words for the user."""
    return ", ".join(row.what for row in FORMATS.values())


def format_of(path: Path) -> ModelFormat:
    """The format that a file's name announces, or that a folder's content shows.

    Raises:
        ModelError: there is no such file or folder.
        UnsupportedError: edgepack reads no such format.
    """
    if not path.exists():
        raise ModelError(f"model file {path} does not exist", allowed=allowed_formats())
    if path.is_dir():
        if is_saved_model(path):
            return ModelFormat.SAVED_MODEL
        raise UnsupportedError(
            f"{path} is a folder without saved_model.pb", allowed=allowed_formats()
        )
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    sniffed = _by_content(path)
    if sniffed is not None:
        return sniffed
    next_step = None
    if path.name == "saved_model.pb":
        next_step = f"name its folder: {path.parent}"
    elif suffix in _PICKLES:
        raise UnsupportedError(
            f"{path.name} is a Python pickle, which edgepack never loads: it can run any code",
            allowed=allowed_formats(),
            next_step="export the model in Python: torch.export.save(..., 'model.pt2')",
        )
    raise UnsupportedError(
        f"{path.name} is of no format that edgepack reads",
        allowed=allowed_formats(),
        next_step=next_step,
    )


def _by_content(path: Path) -> ModelFormat | None:
    """The format of a file whose name says nothing, by its first bytes."""
    with path.open("rb") as file:
        begin = file.read(8)
    if begin[4:8] == TFLITE_IDENTIFIER:
        return ModelFormat.TFLITE
    return ModelFormat.KERAS_H5 if begin == H5_SIGNATURE else None


def load_model(path: Path) -> ModelHandle:
    """Read what a model file is, without keeping it in memory.

    Raises:
        ModelError: it is missing or damaged.
        UnsupportedError: its format, or something in it, is not supported.
        MissingToolError: its format needs a package that is not installed.
    """
    return FORMATS[format_of(path)].load(path)
