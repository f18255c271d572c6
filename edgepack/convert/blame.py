"""Which layer a converter crashed on."""

from __future__ import annotations

from pathlib import Path

from edgepack.convert.base import ConvertOptions
from edgepack.errors import ConversionError
from edgepack.models.isolate import CrashError


def name_the_layer(error: CrashError, path: Path, options: ConvertOptions) -> ConversionError:
    """The error of a crash, with the layer where that can be found out."""
    return error
