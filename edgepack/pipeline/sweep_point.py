"""One point of a sweep: train, quantize, build, run; or find what an earlier run did of it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.cache import CACHE_NAME, code_digest, stage_key, tree_digest
from edgepack.compress.apply import STEPS, apply, named_files
from edgepack.compress.grid import Point, as_toml
from edgepack.errors import EdgepackError
from edgepack.models.handle import ModelHandle
from edgepack.models.progress import Progress
from edgepack.pipeline.compress import STEPS_NAME
from edgepack.pipeline.compress_device import COSTS, TFLITE_NAME, Build, built
from edgepack.pipeline.device_meter import METER
from edgepack.pipeline.measure import Optimize
from edgepack.quantize.recipe import Scheme
from edgepack.resources import firmware_dir, targets_dir, templates_dir

RECIPE_NAME = "recipe.toml"
_POINT_NAME = "point.json"
# what a point's figures depend on, besides its data
_CODE = ("compress", "models", "quantize", "convert", "passes", "emit", "memory", "ops")


@dataclass(frozen=True)
class Asked:
    """What to try.

    Attributes:
        model: a `.keras` or `.h5` file.
        points: of `compress.grid`; their steps are checked.
        data: an `.npz`, a `.csv`, a folder of pictures, or `file:function`, with labels.
        target: an emulated board.
        out: a folder that gets `sweep.json` and a folder for each point.
        validation: the share of the training split that points are compared on.
        schemes: ways to quantize, each tried with every point.
        optimize: preferences of the build, each tried with every scheme.
        folder: that functions are relative to, and that gets the cache.
        timeout: seconds for the steps of one point.
    """

    model: Path
    points: tuple[Point, ...]
    data: str
    target: str
    out: Path
    validation: float = 0.1
    schemes: tuple[Scheme, ...] = ("int8",)
    optimize: tuple[Optimize, ...] = ("balanced",)
    folder: Path = Path()
    timeout: float = 3600.0


@dataclass(frozen=True)
class Files:
    """`choose` has held-out samples as its test split, `final` the real one; both train alike."""

    choose: Path
    final: Path


def tried(
    asked: Asked,
    handle: ModelHandle,
    files: Files,
    point: Point,
    build: Build,
    number: int,
    progress: Progress,
) -> dict[str, Any]:
    """One row of the table: what an earlier run found, or a new one."""
    place = asked.out / f"{number:02d}"
    key = stage_key(
        "point",
        {
            "model": handle.sha256,
            "data": tree_digest([files.choose]),
            "steps": list(point.steps),
            "files": [
                named_files(step, asked.folder) for step in STEPS.validate_python(list(point.steps))
            ],
            "build": [build.scheme, build.optimize, build.target],
            "code": [
                code_digest(*_CODE),
                tree_digest([firmware_dir(), templates_dir(), targets_dir()]),
            ],
        },
    )
    path = place / _POINT_NAME
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key and (place / TFLITE_NAME).is_file():
            progress("sweep", 1.0, "taken from an earlier run")
            return {**kept["row"], "number": number}
    varied = dict(point.varied)
    row: dict[str, Any] = {"number": number, "varied": varied, "steps": list(point.steps)}
    row |= {"scheme": build.scheme, "optimize": build.optimize}
    place.mkdir(parents=True, exist_ok=True)
    try:
        row |= _made(asked, handle, files, point, build, place, progress)
    except EdgepackError as error:
        progress("sweep", None, error.message)
        return {**row, "error": error.message}
    path.write_text(json.dumps({"key": key, "row": row}, indent=2) + "\n", encoding="utf-8")
    return row


def _made(
    asked: Asked,
    handle: ModelHandle,
    files: Files,
    point: Point,
    build: Build,
    place: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train, quantize, build and run one point."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        model = handle.path
        if point.steps:
            done = apply(
                handle,
                STEPS.validate_python(list(point.steps)),
                files.choose,
                Path(name) / "out",
                progress=progress,
                timeout=asked.timeout,
                folder=asked.folder,
                checkpoints=asked.folder / CACHE_NAME / STEPS_NAME,
                meter=METER,
            )
            model = done.handle.path
            after = done.report["steps"][-1]["after"]
            found |= {"float": after["test"], "parameters": after["parameters"]}
            (place / RECIPE_NAME).write_text(as_toml(point.steps), encoding="utf-8")
        # an .h5 file keeps its suffix: it is what the converters go by
        copy = place / f"model{model.suffix}"
        copy.write_bytes(model.read_bytes())
    integer, figures = built(copy, files.choose, build, place, progress)
    return {
        **found,
        "model": copy.name,
        "held_out": integer.report["evaluation"]["quantized"],
        **{cost: getattr(figures, cost) for cost in COSTS},
        "macs": figures.macs,
        "mismatched_bytes": figures.mismatched_bytes,
    }
