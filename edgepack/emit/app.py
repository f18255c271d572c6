"""What an app gets of a model: its tensors as an app sees them, labels, and golden vectors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack import __version__
from edgepack.emit import app_text
from edgepack.errors import UnsupportedError
from edgepack.types import DType

# TFLite's converters wrap the names that people gave: `serving_default_audio:0`, `audio_int8`.
_WRAPPED = re.compile(r"^(?:serving_default_)?(.*?)(?:_int8)?(?::\d+)?$", re.DOTALL)
_EMPTY_NAMES = re.compile(r"(?:(?:stateful)?partitionedcall|identity|input|output)(?:_\d+)?", re.I)
_INTEGERS = (DType.INT8, DType.UINT8, DType.INT16)
_PLAIN = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.INT64, DType.BOOL)


@dataclass(frozen=True)
class Image:
    """How a picture becomes an input: (pixel - mean) / std per channel, pixels from 0 to 255.

    height, width: pixels. channels: 3 (RGB) or 1 (grey). mean, std: one per channel.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class AppTensor:
    """One input or output.

    title: the name that people gave it. field: its name in the three languages.
    shape: elements per axis as the model runs, batch included. dtype: as stored.
    scale, zero_point: real = (stored - zero_point) * scale; None where stored values are used.
    tolerance: for outputs, how far a phone's result may be from the golden one, in steps of the
        stored integers, or absolute for floats.
    """

    title: str
    field: str
    shape: tuple[int, ...]
    dtype: DType
    scale: float | None = None
    zero_point: int | None = None
    image: Image | None = None
    tolerance: float = 0.0

    @property
    def elements(self) -> int:
        """Values in the tensor."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return self.elements * self.dtype.itemsize

    @property
    def quantized(self) -> bool:
        """Whether the app sees real values where integers are stored."""
        return self.scale is not None

    @property
    def real(self) -> bool:
        """Whether the app sees float32 values."""
        return self.quantized or self.dtype is DType.FLOAT32


@dataclass(frozen=True)
class Golden:
    """One recorded inference: stored bytes, little-endian, of each input and output.

    pixels: for models with one picture as input, the RGBA bytes that the input was made from.
    """

    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    pixels: bytes | None = None


@dataclass(frozen=True)
class App:
    """A model with all that an app needs of it.

    name, description, version, author, license: the user's words, unescaped.
    model: the `.tflite` with its metadata. labels: names of the classes of the first output, or
    none. stateful: an inference leaves something behind that the next one reads.
    package: the Kotlin package. reference: what computed the golden outputs.
    """

    name: str
    description: str
    version: str
    author: str
    license: str
    model: bytes
    labels: tuple[str, ...]
    inputs: tuple[AppTensor, ...]
    outputs: tuple[AppTensor, ...]
    goldens: tuple[Golden, ...]
    stateful: bool
    package: str
    reference: str
    optimize: str

    @property
    def class_name(self) -> str:
        """The class, such as `KwsModel`."""
        name = app_text.pascal(self.name, "Model")
        return name if name.endswith("Model") else name + "Model"

    @property
    def snake_name(self) -> str:
        """The package of Dart and the default one of Kotlin, such as `kws`."""
        return app_text.snake(self.name, "model")

    @property
    def sha256(self) -> str:
        """Of the model as it is shipped."""
        return hashlib.sha256(self.model).hexdigest()

    @property
    def scores(self) -> AppTensor | None:
        """The first output, if it is a vector of scores of two or more classes."""
        return scores_of(self.outputs)

    @property
    def picture(self) -> AppTensor | None:
        """The only input, if it is a picture."""
        return self.inputs[0] if len(self.inputs) == 1 and self.inputs[0].image else None

    def label_bytes(self) -> bytes:
        """The label file: UTF-8, one label per line."""
        return "".join(f"{label}\n" for label in self.labels).encode()


def scores_of(outputs: Sequence[AppTensor]) -> AppTensor | None:
    """The first output, if it is a vector of scores of two or more classes."""
    first = outputs[0]
    vector = all(size == 1 for size in first.shape[:-1]) and first.elements > 1
    return first if vector and first.real else None


def tensor_title(name: str, fallback: str) -> str:
    """What a tensor is called once the converter's wrapping is off."""
    match = _WRAPPED.match(name)
    title = match.group(1) if match else name
    return fallback if not title.strip() or _EMPTY_NAMES.fullmatch(title) else title


def app_tensor(
    name: str,
    fallback: str,
    shape: tuple[int, ...],
    dtype: DType,
    scale: float | None,
    zero_point: int | None,
    taken: Collection[str],
) -> AppTensor:
    """A tensor as an app sees it.

    Args:
        name: the model's. fallback: `input` or `output`, where that says nothing.
        taken: fields of the tensors before it.

    Raises:
        UnsupportedError: of a type that has no counterpart in the three languages.
    """
    title = tensor_title(name, fallback)
    if dtype is not DType.FLOAT32 and dtype not in _PLAIN:
        raise UnsupportedError(
            f"{fallback} {name!r} is {dtype.value}, which an app cannot fill or read",
            allowed="FLOAT32, " + ", ".join(t.value for t in _PLAIN),
        )
    quantized = scale is not None and dtype in _INTEGERS
    return AppTensor(
        title=title,
        field=app_text.camel(title, fallback, taken),
        shape=shape,
        dtype=dtype,
        # kept as the float32 that the file holds
        scale=float(np.float32(scale)) if quantized else None,
        zero_point=(zero_point or 0) if quantized else None,
    )


def common_context(app: App) -> dict[str, Any]:
    """What the templates of all three languages are given."""
    return {
        "app": app,
        "version": __version__,
        "scores": app.scores,
        "picture": app.picture,
        "number": app_text.number,
        "comment": app_text.comment,
        "markdown": app_text.markdown,
        "folded": app_text.folded,
        "kotlin": app_text.kotlin,
        "swift": app_text.swift,
        "dart": app_text.dart,
        "ruby": app_text.ruby,
        "yaml": app_text.yaml,
        "numbers": lambda values: ", ".join(app_text.number(v) for v in values),
        "integers": lambda values: ", ".join(str(int(v)) for v in values),
    }
