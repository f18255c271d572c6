"""A `.tflite` as the schema's mutable objects (`ModelT`), and back to bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.errors import ModelError
from edgepack.models.tflite_file import IDENTIFIER, parse_tflite

ALIGNMENT = 16  # of every constant's bytes (schema.fbs: force_align of Buffer.data)
_START_BYTES = 1 << 16


def read_model(data: bytes, source: str = "the model") -> Any:
    """The bytes as a `schema_py_generated.ModelT`.

    Raises:
        ModelError: they are damaged, or hold weights behind the flatbuffer.
    """
    model = parse_tflite(data, source)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean inside (schema.fbs, Buffer.offset)
            raise ModelError(
                f"{source} keeps weights behind its flatbuffer, as files of 2 GB do",
                allowed="weights inside the flatbuffer",
            )
    return model


def write_model(model: Any) -> bytes:
    """The bytes of a model; constants are aligned, which the generated writer would not do."""
    import flatbuffers

    builder = flatbuffers.Builder(_START_BYTES)
    buffers = model.buffers
    try:
        model.buffers = [_AlignedBuffer(buffer.data) for buffer in buffers]
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    finally:
        model.buffers = buffers
    return bytes(builder.Output())


class _AlignedBuffer:
    """Stands in for the schema's BufferT while a model is written."""

    def __init__(self, data: Any) -> None:
        self.data = None if data is None or len(data) == 0 else np.asarray(data, np.uint8)

    def Pack(self, builder: Any) -> Any:  # noqa: N802  # the generated code's name
        from ai_edge_litert import schema_py_generated as schema

        offset = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head = builder.Head() - len(self.data)
            builder.Bytes[builder.Head() : builder.Head() + len(self.data)] = self.data.tobytes()
            offset = builder.EndVector()
        schema.BufferStart(builder)
        if offset is not None:
            schema.BufferAddData(builder, offset)
        return schema.BufferEnd(builder)
