"""The model as a C array, for TensorFlow Lite Micro."""

from __future__ import annotations

import numpy as np

from edgepack import __version__
from edgepack.emit.c_runtime import Origin, SourceText
from edgepack.emit.c_text import comment
from edgepack.emit.templates import render

_BYTES_PER_LINE = 16


def emit_tflm_array(data: bytes, c_name: str, origin: Origin) -> SourceText:
    """Generate `<c_name>_tflite.h` and `.c`: the flatbuffer, 16-byte aligned as TFLM needs it."""
    texts = [f"0x{b:02x}" for b in np.frombuffer(data, np.uint8).tolist()]
    lines = [
        "    " + ", ".join(texts[i : i + _BYTES_PER_LINE]) + ","
        for i in range(0, len(texts), _BYTES_PER_LINE)
    ]
    context = {
        "version": __version__,
        "model": comment(origin.model_name),
        "sha256": origin.sha256,
        "c_name": c_name,
        "macro": c_name.upper(),
        "count": len(data),
        "text": "\n".join(lines),
    }
    return SourceText(
        f"{c_name}_tflite.h",
        render("tflm/model_array.h.j2", **context),
        f"{c_name}_tflite.c",
        render("tflm/model_array.c.j2", **context),
    )
