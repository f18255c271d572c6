"""What is known about one model file, whatever its format."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from edgepack.types import DType, Shape

_CHUNK_BYTES = 1 << 20


class ModelFormat(Enum):
    """A model file format that edgepack reads; the value is what the user sees."""

    TFLITE = "tflite"
    KERAS = "keras"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    `shape` holds -1 for a dimension that the model leaves open (usually the batch, first). `scale`
    and `zero_point` are those of a per-tensor quantized tensor, real = scale * (stored -
    zero_point); both are None for a float.
    """

    name: str
    shape: Shape
    dtype: DType
    scale: float | None = None
    zero_point: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The tensor as JSON stores it."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype.value,
            "scale": self.scale,
            "zero_point": self.zero_point,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TensorSpec:
        """The inverse of `as_dict`."""
        return cls(
            data["name"],
            tuple(data["shape"]),
            DType(data["dtype"]),
            data["scale"],
            data["zero_point"],
        )


@dataclass(frozen=True)
class ModelHandle:
    """A model on disk and what was read from it.

    `sha256` is the digest of the file's content; `parameters` counts the elements of all weights,
    biases included; `dtypes` are the element types that occur in it; `producer` says what wrote it,
    where the file tells.
    """

    path: Path
    format: ModelFormat
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    dtypes: tuple[DType, ...]
    parameters: int
    producer: str | None = None

    @property
    def is_full_integer(self) -> bool:
        """Whether no floating-point tensor occurs in the model, inputs and outputs included."""
        return not {DType.FLOAT32, DType.FLOAT16} & set(self.dtypes)


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 digest of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
