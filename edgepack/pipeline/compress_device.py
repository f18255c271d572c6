"""What a Keras network takes on a target: quantized, built, and run in the target's emulator."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.compress.apply import Compressed
from edgepack.errors import UsageError
from edgepack.models.dataset import read_dataset, write_dataset
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.measure import Figures, Optimize, measure
from edgepack.pipeline.quantize import Asked, quantize_any
from edgepack.quantize.recipe import QuantizeRecipe, Scheme
from edgepack.quantize.run import Outcome
from edgepack.targets import Kind, load_target, load_targets

TFLITE_NAME = "model.tflite"
COSTS = ("flash", "ram", "instructions")


@dataclass(frozen=True)
class Build:
    """How a network is quantized and built, and for which emulated board."""

    target: str
    scheme: Scheme = "int8"
    optimize: Optimize = "balanced"


def check_target(name: str) -> None:
    """Demand a target whose emulator counts instructions.

    Raises:
        UsageError: it is another one.
    """
    if load_target(name).kind is not Kind.EMULATED:
        emulated = [target.id for target in load_targets() if target.kind is Kind.EMULATED]
        raise UsageError(
            f"{name} is no emulated target: instructions are counted in an emulator",
            allowed=", ".join(emulated),
        )


def quantized(model: Path, data: Path, scheme: Scheme, progress: Progress = silent) -> Outcome:
    """A network quantized, and evaluated on the test split of `data`."""
    asked = Asked(model, str(data.resolve()), QuantizeRecipe(scheme=scheme))
    return quantize_any(asked, progress)


def built(
    model: Path, data: Path, build: Build, place: Path, progress: Progress = silent
) -> tuple[Outcome, Figures]:
    """A network quantized and measured.

    Args:
        model: a `.keras` or `.h5` file.
        data: samples to calibrate with, and a test split.
        build: how.
        place: a folder that gets `model.tflite`.
        progress: told of all of it.
    """
    integer = quantized(model, data, build.scheme, progress)
    path = place / TFLITE_NAME
    path.write_bytes(integer.data)
    with tempfile.TemporaryDirectory() as name:
        figures = measure(
            path,
            build.target,
            Path(name),
            full_image=False,
            optimize=build.optimize,
            progress=progress,
        )
    return integer, figures


def add_device(
    done: Compressed,
    start: Path,
    data: Path,
    build: Build,
    scratch: Path,
    progress: Progress = silent,
) -> None:
    """Put what the device sees before and after each step into the report.

    Args:
        done: its report gets `device` in every `before` and `after`: `test` (the score as
            quantized), `flash` and `ram` in bytes, `instructions` of one inference,
            `mismatched_bytes`, and how it was built; `device_saving` says what was measured.
        start: the model before the first step.
        data: as the steps had them.
        build: how.
        scratch: a folder.
        progress: told which one is built.
    """
    steps = done.report["steps"]
    parted = scratch / "parted.npz"
    # the split that the steps had, even where the file has none
    write_dataset(parted, read_dataset(data))
    for name, model, places in _stages(done, start, steps):

        def told(stage: str, fraction: float | None, message: str, name: str = name) -> None:
            progress(stage, fraction, f"{name}: {message}")

        integer, taken = built(model, parted, build, scratch, told)
        score = integer.report.get("evaluation")
        figures = {
            "target": build.target,
            "scheme": build.scheme,
            "optimize": build.optimize,
            "test": None if score is None else score["quantized"],
            **{cost: getattr(taken, cost) for cost in COSTS},
            "mismatched_bytes": taken.mismatched_bytes,
        }
        for place in places:
            place["device"] = figures
    for step in steps:
        step["device_saving"] = _saving(step["before"], step["after"])


def _stages(
    done: Compressed, start: Path, steps: list[dict[str, Any]]
) -> Iterator[tuple[str, Path, list[dict[str, Any]]]]:
    """What it is called, its file, and where the report has figures of it."""
    places = [[steps[0]["before"]], *([step["after"]] for step in steps)]
    for place, step in zip(places[1:], steps[1:], strict=False):
        place.append(step["before"])
    names = ["before", *(f"after {step['method']}" for step in steps)]
    yield from zip(names, (start, *done.stages), places, strict=True)


def _saving(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What a step did to the device's figures."""
    first, last = before["device"], after["device"]
    parts = []
    for cost in COSTS:
        change = 100 * (last[cost] / first[cost] - 1)
        parts.append(f"{cost} {first[cost]:,.0f} -> {last[cost]:,.0f} ({change:+.1f} %)")
    return f"{', '.join(parts)}, as {last['scheme']} on {last['target']}"
