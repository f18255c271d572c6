"""What is known about one model file, whatever its format."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from edgepack.types import DType, Shape

_CHUNK_BYTES = 1 << 20
# what a user may do who trusts the author of a model with code in it; the only way in
TRUSTED_STEP = (
    "if you trust its author with this computer: edgepack convert MODEL -o model.tflite "
    "--trust-model-code, and go on with that file"
)


class ModelFormat(Enum):
    """A model file format that edgepack reads; the value is what the user sees."""

    TFLITE = "tflite"
    KERAS = "keras"
    KERAS_H5 = "h5"
    SAVED_MODEL = "saved_model"
    ONNX = "onnx"
    PT2 = "pt2"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    `shape` holds -1 for a dimension that the model leaves open (usually the batch, first). `scale`
    and `zero_point` are those of a per-tensor quantized tensor, real = scale * (stored -
    zero_point); both are None for a float. `layout` names the axes of an image where the model
    tells, such as `NHWC` or `NCHW`.
    """

    name: str
    shape: Shape
    dtype: DType
    scale: float | None = None
    zero_point: int | None = None
    layout: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The tensor as JSON stores it."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype.value,
            "scale": self.scale,
            "zero_point": self.zero_point,
            "layout": self.layout,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TensorSpec:
        """The inverse of `as_dict`; `layout` may be left out."""
        return cls(
            data["name"],
            tuple(data["shape"]),
            DType(data["dtype"]),
            data["scale"],
            data["zero_point"],
            data.get("layout"),
        )


@dataclass(frozen=True)
class ModelHandle:
    """A model on disk and what was read from it.

    `sha256` is the digest of the file's content (of a folder: of its files' names and contents);
    `parameters` counts the elements of all weights, biases included; `dtypes` are the element types
    that occur in it; `producer` says what wrote it, `opset` which version of the format's operators
    it uses (ONNX), `labels` the names of its classes, `macs` the multiply-accumulates of one
    inference: each None where the file does not tell.
    """

    path: Path
    format: ModelFormat
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    dtypes: tuple[DType, ...]
    parameters: int
    producer: str | None = None
    opset: str | None = None
    labels: tuple[str, ...] | None = None
    macs: int | None = None

    @property
    def is_full_integer(self) -> bool:
        """Whether no floating-point tensor occurs in the model, inputs and outputs included."""
        return not {DType.FLOAT32, DType.FLOAT16} & set(self.dtypes)

    def as_dict(self) -> dict[str, Any]:
        """The handle as `--json` prints it; the path only as a name."""
        return {
            "name": self.path.name,
            "format": self.format.value,
            "sha256": self.sha256,
            "producer": self.producer,
            "opset": self.opset,
            "inputs": [tensor.as_dict() for tensor in self.inputs],
            "outputs": [tensor.as_dict() for tensor in self.outputs],
            "dtypes": [dtype.value for dtype in self.dtypes],
            "parameters": self.parameters,
            "macs": self.macs,
            "labels": None if self.labels is None else list(self.labels),
        }

    @classmethod
    def from_description(
        cls, path: Path, format: ModelFormat, description: dict[str, Any]
    ) -> ModelHandle:
        """The handle from what a child process said of a model, in the form of `as_dict`."""
        labels = description.get("labels")
        return cls(
            path=path,
            format=format,
            sha256=digest_of(path),
            inputs=tuple(TensorSpec.from_dict(spec) for spec in description["inputs"]),
            outputs=tuple(TensorSpec.from_dict(spec) for spec in description["outputs"]),
            dtypes=tuple(DType(name) for name in description["dtypes"]),
            parameters=description["parameters"],
            producer=description.get("producer"),
            opset=description.get("opset"),
            labels=None if labels is None else tuple(labels),
            macs=description.get("macs"),
        )


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 digest of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """The digest of a model: of a file its content, of a folder its files' names and contents."""
    if not path.is_dir():
        return sha256_of(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()
