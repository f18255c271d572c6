"""The parent's side of a conversion: look at the file, run the child, read the result again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from edgepack.convert.base import ConvertOptions
from edgepack.convert.blame import name_the_layer
from edgepack.convert.child import RESULT_NAME
from edgepack.convert.outputs import OUTPUTS
from edgepack.convert.report import REPORT_FORMAT, Conversion
from edgepack.convert.table import CONVERTERS, Converter
from edgepack.errors import UsageError
from edgepack.models.handle import ModelHandle
from edgepack.models.isolate import CrashError, Task, require_package, run_task
from edgepack.models.load import FORMATS, format_of
from edgepack.models.progress import Progress, silent
from edgepack.models.tflite_file import load_tflite

REPORT_NAME = "report.json"
TASK = "edgepack.convert.child:run"


def convert(
    path: Path, folder: Path, options: ConvertOptions, progress: Progress = silent
) -> Conversion:
    """Convert a model.

    Args:
        path: the model; a file, or a folder for a SavedModel.
        folder: gets `model.tflite` (or another suffix, by `options.to`) and `report.json`.
        options: how.
        progress: told of every stage.

    Raises:
        ModelError: the model is missing or damaged.
        UnsupportedError: its format, or something in it, cannot be converted.
        UsageError: an option that does not fit the model.
        MissingToolError: its format needs a package that is not installed.
        ConversionError: the converter failed, crashed, ran out of time or memory, or what it made
            does not compute what the source does.
    """
    started = time.monotonic()
    converter = check(path, options)
    folder.mkdir(parents=True, exist_ok=True)
    task = Task(
        TASK,
        arguments(path, folder, options, converter),
        what=f"converting {path.name}",
        timeout=options.time_limit,
        tensorflow=converter.tensorflow,
        memory_mb=options.memory_limit,
        time_hint="--time-limit SECONDS allows more",
    )
    try:
        reply = run_task(task, progress)
    except CrashError as error:
        raise name_the_layer(error, path, options, task.arguments) from error
    return _finish(path, folder, options, reply, time.monotonic() - started)


def check(path: Path, options: ConvertOptions) -> Converter:
    """Everything that can be refused before a process is started; how the format is converted.

    Raises:
        EdgepackError: as `convert`.
    """
    if options.to not in OUTPUTS:
        raise UsageError(f"--to {options.to} is not known", allowed=", ".join(OUTPUTS))
    row = FORMATS[format_of(path)]
    row.check(path, options.trust_model_code)
    converter = CONVERTERS[row.format]
    for package in converter.packages:
        require_package(package, extra=converter.extra, why=f"to convert {path.name}")
    return converter


def arguments(
    path: Path, folder: Path, options: ConvertOptions, converter: Converter
) -> dict[str, Any]:
    """The child's arguments, the fields of `base.Request`."""
    return {
        "opener": converter.opener,
        "model": str(path.resolve()),
        "folder": str(folder.resolve()),
        "to": options.to,
        "input_shapes": {name: list(shape) for name, shape in options.input_shapes.items()},
        "trust_model_code": options.trust_model_code,
        "keep_nchw": options.keep_nchw,
        "data": None if options.data is None else str(options.data.resolve()),
    }


def _finish(
    path: Path, folder: Path, options: ConvertOptions, reply: dict[str, Any], seconds: float
) -> Conversion:
    output = OUTPUTS[options.to]
    written = folder / f"{RESULT_NAME}{output.suffix}"
    source = ModelHandle.from_description(path, format_of(path), reply["source"])
    result = load_tflite(written) if output.is_tflite else None
    report = {
        "format": REPORT_FORMAT,
        **reply,
        "source": source.as_dict(),
        "to": options.to,
        "result": None if result is None else result.as_dict(),
        "bytes": written.stat().st_size,
    }
    report["seconds"]["total"] = round(seconds, 3)
    text = json.dumps(report, indent=2)
    (folder / REPORT_NAME).write_text(text + "\n", encoding="utf-8")
    return Conversion(source, written, options.to, result, report, False, seconds)


def read_conversion(path: Path, folder: Path, to: str, seconds: float) -> Conversion:
    """An earlier conversion of the same model from the folder that `convert` filled."""
    report = json.loads((folder / REPORT_NAME).read_text(encoding="utf-8"))
    output = OUTPUTS[to]
    written = folder / f"{RESULT_NAME}{output.suffix}"
    source = ModelHandle.from_description(path, format_of(path), report["source"])
    result = load_tflite(written) if output.is_tflite else None
    return Conversion(source, written, to, result, report, True, seconds)
