"""TFLite Metadata: what a model is, what its tensors mean and its labels, inside the `.tflite`.

The schema is tflite-support's metadata_schema.fbs, version 1.5.0. Its flatbuffer lies in a buffer
of the model that the entry `TFLITE_METADATA` names; associated files are a zip behind the model's
flatbuffer, stored without compression so that they can be mapped. Slots of tables are numbered in
the schema's order; of a union the type comes first.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import read_model, write_model
from edgepack.errors import DataError

BUFFER_NAME = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
# What is written here (normalization, statistics, axis labels) is all of version 1.0.0.
MIN_PARSER_VERSION = "1.0.0"
LABEL_FILE = "labels.txt"
_AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
_FEATURE, _IMAGE = 1, 2  # ContentProperties
_NORMALIZATION = 1  # ProcessUnitOptions.NormalizationOptions
_COLOR_SPACE = {3: 1, 1: 2}  # channels -> ColorSpaceType.RGB, .GRAYSCALE
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold: the same bytes every time


@dataclass(frozen=True)
class ImageContent:
    """A tensor that holds a picture: width and height in pixels, 3 (RGB) or 1 (grey) channels."""

    width: int
    height: int
    channels: int


@dataclass(frozen=True)
class TensorDescription:
    """What one input or output means.

    mean, std: what turns pixels or features into the model's real values, (x - mean) / std; one
        value, or one per channel; empty where nothing is to be done.
    minimum, maximum: of the values that the tensor can take (before quantization); empty if open.
    labels: whether the model's label file names the positions of the last axis.
    """

    name: str
    description: str = ""
    image: ImageContent | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    minimum: tuple[float, ...] = ()
    maximum: tuple[float, ...] = ()
    labels: bool = False


@dataclass(frozen=True)
class ModelDescription:
    """What a model is; `files` are associated files by name, the label file among them."""

    name: str
    description: str
    version: str
    author: str
    license: str
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    files: Mapping[str, bytes]


def add_metadata(model: bytes, description: ModelDescription) -> bytes:
    """A `.tflite` with metadata and associated files; what it had of either is replaced.

    Raises:
        ModelError: the model is damaged.
        DataError: it has another number of inputs or outputs than the description.
    """
    from ai_edge_litert import schema_py_generated as schema

    parsed = read_model(model)
    main = parsed.subgraphs[0]
    for side, tensors, described in (
        ("inputs", main.inputs, description.inputs),
        ("outputs", main.outputs, description.outputs),
    ):
        if len(tensors) != len(described):
            raise DataError(f"the model has {len(tensors)} {side}, {len(described)} are described")
    buffer = np.frombuffer(metadata_bytes(description), np.uint8)
    entries = list(parsed.metadata or [])
    entry = next((e for e in entries if e.name == BUFFER_NAME), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name = BUFFER_NAME
        entry.buffer = len(parsed.buffers)
        parsed.buffers.append(schema.BufferT())
        entries.append(entry)
        parsed.metadata = entries
    parsed.buffers[entry.buffer].data = buffer
    return _append(write_model(parsed), description.files)


def metadata_bytes(description: ModelDescription) -> bytes:
    """The metadata's flatbuffer."""
    import flatbuffers

    b = flatbuffers.Builder(1024)
    inputs = _vector(b, [_tensor(b, t) for t in description.inputs])
    outputs = _vector(b, [_tensor(b, t) for t in description.outputs])
    others = [n for n in sorted(description.files) if n != LABEL_FILE]
    graph = _table(b, 10, {2: inputs, 3: outputs})
    model = _table(
        b,
        8,
        {
            0: _string(b, description.name),
            1: _string(b, description.description),
            2: _string(b, description.version),
            3: _vector(b, [graph]),
            4: _string(b, description.author),
            5: _string(b, description.license),
            6: _vector(b, [_file(b, name, 0) for name in others]),
            7: _string(b, MIN_PARSER_VERSION),
        },
    )
    b.Finish(model, file_identifier=IDENTIFIER)
    return bytes(b.Output())


def _tensor(b: Any, tensor: TensorDescription) -> int:
    content = _content(b, tensor.image)
    units = []
    if tensor.mean or tensor.std:
        options = _table(b, 2, {0: _floats(b, tensor.mean), 1: _floats(b, tensor.std)})
        units.append(_table(b, 2, {1: options}, types={0: _NORMALIZATION}))
    stats = 0
    if tensor.maximum or tensor.minimum:
        stats = _table(b, 2, {0: _floats(b, tensor.maximum), 1: _floats(b, tensor.minimum)})
    files = [_file(b, LABEL_FILE, _AXIS_LABELS)] if tensor.labels else []
    return _table(
        b,
        7,
        {
            0: _string(b, tensor.name),
            1: _string(b, tensor.description),
            3: content,
            4: _vector(b, units),
            5: stats,
            6: _vector(b, files),
        },
    )


def _content(b: Any, image: ImageContent | None) -> int:
    if image is None:
        return _table(b, 3, {1: _table(b, 0, {})}, types={0: _FEATURE})
    b.StartObject(2)
    b.PrependUint32Slot(0, image.width, 0)
    b.PrependUint32Slot(1, image.height, 0)
    size = b.EndObject()
    color = _COLOR_SPACE.get(image.channels, 0)
    properties = _table(b, 2, {1: size}, types={0: color})
    return _table(b, 3, {1: properties}, types={0: _IMAGE})


def _file(b: Any, name: str, kind: int) -> int:
    return _table(b, 5, {0: _string(b, name)}, types={2: kind})


def _string(b: Any, text: str) -> int:
    return int(b.CreateString(text)) if text else 0


def _floats(b: Any, values: Sequence[float]) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, np.float32))) if values else 0


def _vector(b: Any, offsets: Sequence[int]) -> int:
    if not offsets:
        return 0
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _table(
    b: Any, slots: int, offsets: Mapping[int, int], types: Mapping[int, int] | None = None
) -> int:
    """A table of references (0: absent) and of byte-sized enumerations (0 is their default)."""
    b.StartObject(slots)
    for slot, offset in offsets.items():
        if offset:
            b.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (types or {}).items():
        b.PrependUint8Slot(slot, value, 0)
    return int(b.EndObject())


def _append(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """The model with a zip behind it; the zip's offsets count from the start of the file."""
    if not files:
        return model
    whole = io.BytesIO(model)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _ZIP_DATE)
            info.external_attr = 0o644 << 16
            info.create_system = 3  # Unix, whichever system writes it
            archive.writestr(info, files[name])
    return whole.getvalue()
