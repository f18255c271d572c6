"""Run the compression steps of a recipe, in order, in one child process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edgepack.cache import code_digest, stage_key, tree_digest
from edgepack.compress.methods import Step
from edgepack.errors import UnsupportedError, UsageError
from edgepack.models.handle import ModelFormat, ModelHandle, digest_of
from edgepack.models.isolate import Task, require_package, run_task
from edgepack.models.keras_file import handle_from
from edgepack.models.progress import Progress, silent

MODEL_NAME = "model.keras"
REPORT_NAME = "compress.json"
DEFAULT_SECONDS = 3600.0
_BUILDING = ("convert", "quantize", "ops", "passes", "memory", "emit")
STEPS: TypeAdapter[tuple[Step, ...]] = TypeAdapter(tuple[Step, ...])


@dataclass(frozen=True)
class Compressed:
    """The compressed model, and the path and content of the report on it (`compress.json`).

    `stages` are the files of the model after each step, where checkpoints were asked for.
    """

    handle: ModelHandle
    report_path: Path
    report: dict[str, Any]
    stages: tuple[Path, ...] = ()


def apply(
    handle: ModelHandle,
    steps: Sequence[Step],
    data: Path | None,
    out_dir: Path,
    *,
    progress: Progress = silent,
    timeout: float = DEFAULT_SECONDS,
    folder: Path | None = None,
    checkpoints: Path | None = None,
    meter: str | None = None,
) -> Compressed:
    """Compress a Keras model.

    Args:
        handle: the model; its file is not changed.
        steps: configurations from `compress.methods`, at least one.
        data: an `.npz` as `models.dataset` reads it, or None where no step trains.
        out_dir: gets `model.keras` and `compress.json`; made if need be.
        progress: told the step and its share done.
        timeout: seconds for all steps together.
        folder: that paths in the steps are relative to; the current one by default.
        checkpoints: a folder that gets the model after each step; a later call with the same
            model, data, code and first steps goes on from there. None keeps nothing.
        meter: the task that measures a model on a target (pipeline/device_meter.py), for steps with
            a budget.

    Raises:
        UsageError: there is no step.
        UnsupportedError: the model is of a format that cannot be trained.
        ConfigError, DataError: a step finds nothing to do, or data that do not fit.
        MissingToolError: TensorFlow is not installed.
        ConversionError: the child process crashed or ran out of time.
    """
    if not steps:
        raise UsageError("there is no compression step", allowed="at least one [[compress]] table")
    if handle.format not in (ModelFormat.KERAS, ModelFormat.KERAS_H5):
        raise UnsupportedError(
            f"{handle.path.name} is a {handle.format.value} model, which cannot be trained",
            allowed="a .keras model, or an entry that makes one",
        )
    require_package("tensorflow", extra="tf", why="to compress a model")
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / MODEL_NAME
    saved = _checkpoints(handle, steps, data, checkpoints, folder or Path())
    arguments = {
        "model": str(handle.path.resolve()),
        "steps": STEPS.dump_python(tuple(steps), mode="json"),
        "data": None if data is None else str(data.resolve()),
        "out": str(path.resolve()),
        "folder": str((folder or Path()).resolve()),
        "checkpoints": saved,
        "meter": meter,
    }
    what = f"compressing {handle.path.name}"
    task = Task("edgepack.compress.apply_child:run", arguments, what, timeout, onednn=True)
    reply = run_task(task, progress)
    report_path = out_dir / REPORT_NAME
    text = json.dumps(reply["report"], indent=2, sort_keys=True)
    report_path.write_text(text + "\n", encoding="utf-8")
    stages = tuple(Path(name).with_suffix(".keras") for name in saved or ())
    return Compressed(handle_from(path, reply["description"]), report_path, reply["report"], stages)


def _checkpoints(
    handle: ModelHandle,
    steps: Sequence[Step],
    data: Path | None,
    folder: Path | None,
    named: Path,
) -> list[str] | None:
    """A path, without its suffix, for what is there after each step."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    # what a budget leads to depends on what is built
    builds = any(getattr(step, "budget", None) for step in steps)
    base = {
        "model": handle.sha256,
        "data": None if data is None else tree_digest([data]),
        "code": code_digest("compress", "models", *(_BUILDING if builds else ())),
    }
    written = STEPS.dump_python(tuple(steps), mode="json")
    files = [named_files(step, named) for step in steps]
    keys = [
        stage_key("compress", {**base, "steps": written[: n + 1], "files": files[: n + 1]})
        for n in range(len(steps))
    ]
    return [str((folder / key).resolve()) for key in keys]


def named_files(step: Step, folder: Path) -> list[str]:
    """The digests of the models that a step names: teachers and students."""
    names = [getattr(step, "teacher", None), getattr(step, "student", None)]
    if step.finetune.teacher is not None:
        names.append(step.finetune.teacher.model)
    return [digest_of(folder / name) for name in names if name and (folder / name).exists()]
