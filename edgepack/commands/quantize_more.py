"""`edgepack quantize`: training, costs, the device, the report's file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgepack.models.progress import Progress
    from edgepack.pipeline.quantize_device import OnDevice
    from edgepack.quantize.recipe import QuantizeRecipe
    from edgepack.quantize.run import Outcome


def qat_settings(
    epochs: int | None,
    learning_rate: float | None,
    batch_size: int | None,
    distill: float | None,
    teacher: Path | None,
    seed: int,
) -> dict[str, Any] | None:
    """The options of a training as the settings take them; None without one.

    Raises:
        UsageError: options of a training, and no --qat.
    """
    from edgepack.errors import UsageError

    given = {
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "distill": distill,
        "teacher": None if teacher is None else str(teacher),
    }
    named = {key: value for key, value in given.items() if value is not None}
    if epochs is None:
        if named:
            option = "--" + next(iter(named)).replace("_", "-")
            raise UsageError(f"{option} is about training", next_step="add --qat EPOCHS")
        return None
    if teacher is not None and not distill:
        raise UsageError(
            "--teacher without --distill teaches nothing", next_step="add --distill 0.5"
        )
    return {"epochs": epochs, "seed": seed, **named}


def work_folder(destination: Path) -> Path:
    """Where a training keeps its checkpoint, beside the result."""
    return destination.with_name(f".{destination.name}.qat")


def clear_work(folder: Path | None) -> None:
    """Remove what a finished training left."""
    if folder is not None and folder.is_dir():
        shutil.rmtree(folder)


def measured_cost(done: Outcome, target: str, progress: Progress) -> dict[str, Any]:
    """Instructions of one inference of the mixture and of the model as given, on a target."""
    from edgepack.pipeline.quantize_cost import instructions

    found: dict[str, Any] = {"target": target}
    for name, data in (("first", done.first), ("last", done.data)):
        if data is not None:
            count, why = instructions(data, target, progress)
            found[name] = count
            if why:
                found[f"{name}_missing"] = why
    return found


def device_settings(target: str | None, samples: int | None, port: str | None) -> OnDevice | None:
    """Where to evaluate; None without --device.

    Raises:
        UsageError: options of a device, and no --device; or one that cannot be evaluated on.
    """
    from edgepack.errors import UsageError
    from edgepack.pipeline.quantize_device import DEFAULT_SAMPLES, OnDevice, check_device

    if target is None:
        if samples is not None or port is not None:
            option = "--port" if samples is None else "--device-samples"
            raise UsageError(
                f"{option} is about evaluating on a device", next_step="add --device TARGET"
            )
        return None
    asked = OnDevice(target, DEFAULT_SAMPLES if samples is None else samples, port)
    check_device(asked)
    return asked


def device_column(
    done: Outcome, asked: OnDevice, settings: QuantizeRecipe, progress: Progress
) -> None:
    """Evaluate on a device, into the report.

    Raises:
        DataError: there are no samples to evaluate.
        EdgepackError: as building and running.
    """
    from edgepack.errors import DataError
    from edgepack.pipeline.quantize import user_judge
    from edgepack.pipeline.quantize_device import evaluate_on_device
    from edgepack.quantize.warn import device_warnings

    if done.tested is None:
        raise DataError("--device: no samples are left to evaluate", next_step="add --evaluate")
    found = evaluate_on_device(done.tested, asked, user_judge(settings, Path()), progress)
    done.report["evaluation"]["device"] = found
    done.report["warnings"] += device_warnings(found)


def report_text(report: dict[str, Any], name: str, path: Path) -> str:
    """The report as the file's name says: a page for .html, else JSON."""
    from edgepack.report.quantized_html import render_quantized

    if path.suffix.lower() in (".html", ".htm"):
        return render_quantized(report, name)
    return json.dumps(report, indent=2) + "\n"
