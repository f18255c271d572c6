"""Conversions through a cache: a model whose content did not change is converted once."""

from __future__ import annotations

import importlib.metadata
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgepack.cache import Artefact, Cache, code_digest, file_digest
from edgepack.convert.base import ConvertOptions
from edgepack.convert.report import Conversion
from edgepack.convert.run import check, convert, read_conversion
from edgepack.convert.table import Converter
from edgepack.convert.uint8 import is_uint8
from edgepack.errors import ModelError
from edgepack.models.handle import ModelFormat, digest_of
from edgepack.models.load import format_of
from edgepack.models.onnx_file import external_files
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import read_tflite
from edgepack.pipeline.convert_entry import model_file

STAGE = "convert"
# Packages whose version changes what a converter writes; those not installed count as none.
_VERSIONED = (
    "ai-edge-litert",
    "keras",
    "litert-torch",
    "numpy",
    "onnx",
    "onnx2tf",
    "onnxruntime",
    "tensorflow",
    "torch",
)


def user_cache() -> Cache:
    """Where conversions are kept that belong to no edgepack.toml.

    EDGEPACK_CACHE names the folder; else it is `edgepack` in XDG_CACHE_HOME or ~/.cache.
    """
    named = os.environ.get("EDGEPACK_CACHE")
    if named:
        return Cache(Path(named))
    base = os.environ.get("XDG_CACHE_HOME")
    return Cache((Path(base) if base else Path.home() / ".cache") / "edgepack")


def convert_cached(
    path: Path,
    options: ConvertOptions | None = None,
    cache: Cache | None = None,
    progress: Progress = silent,
) -> Conversion:
    """Convert a model, or find what an earlier call made of the same content and options.

    Raises:
        EdgepackError: as `edgepack.convert.run.convert`.
    """
    options = options or ConvertOptions()
    cache = cache or user_cache()
    started = time.monotonic()
    path = model_file(path, cache, progress, time_limit=options.time_limit)
    converter = check(path, options)  # before the digest: it refuses what is missing or too large
    made: list[Conversion] = []
    artefact = cache.get(
        STAGE,
        _inputs(path, options, converter),
        lambda folder: made.append(convert(path, folder, options, progress)),
    )
    return _placed(path, options, artefact, made, time.monotonic() - started)


@dataclass(frozen=True)
class Ready:
    """A `.tflite` file that the compile half can read, and what the user should know of it."""

    path: Path
    warnings: tuple[str, ...] = ()


def as_tflite(path: Path, cache: Cache | None = None, progress: Progress = silent) -> Ready:
    """A model of any format, or that a function makes, as a `.tflite` file.

    An up-to-date `.tflite` stays where it is.

    Raises:
        EdgepackError: as `edgepack.convert.run.convert`.
    """
    cache = cache or user_cache()
    path = model_file(path, cache, progress)
    if format_of(path) is ModelFormat.TFLITE and not _is_legacy(path):
        return Ready(path)
    done = convert_cached(path, cache=cache, progress=progress)
    return Ready(done.path, done.warnings)


def _is_legacy(path: Path) -> bool:
    """Whether a `.tflite` computes on uint8, which no runtime of edgepack does."""
    try:
        return is_uint8(read_tflite(path))
    except ModelError:
        return False  # the compile half says what is wrong with it


def _placed(
    path: Path, options: ConvertOptions, artefact: Artefact, made: list[Conversion], seconds: float
) -> Conversion:
    """The conversion at its final place in the cache."""
    if not made:
        return read_conversion(path, artefact.folder, options.to, seconds)
    moved = artefact.folder / made[0].path.name
    result = made[0].result
    return replace(
        made[0],
        path=moved,
        result=None if result is None else replace(result, path=moved),
        seconds=seconds,
    )


def _inputs(path: Path, options: ConvertOptions, converter: Converter) -> dict[str, Any]:
    """Everything that determines the result, and nothing else (limits, the file's name)."""
    return {
        "model": digest_of(path),
        "external": _external(path),
        "format": format_of(path).value,
        "to": options.to,
        "input_shapes": {name: list(shape) for name, shape in options.input_shapes.items()},
        "trust_model_code": options.trust_model_code,
        "keep_nchw": options.keep_nchw,
        "data": None if options.data is None else file_digest(options.data),
        "code": code_digest("convert", "models"),
        "versions": _versions(),
        "opener": converter.opener,
    }


def _external(path: Path) -> dict[str, str]:
    """The digests of an ONNX model's weights in other files."""
    if format_of(path) is not ModelFormat.ONNX:
        return {}
    return {
        file.relative_to(path.parent).as_posix(): file_digest(file) for file in external_files(path)
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found
