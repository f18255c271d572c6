"""`edgepack quantize`: training, the search for a mixture, the diagnosis."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.models.progress import Progress
    from edgepack.quantize.run import Outcome

_SHOWN = 8


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


def show_more(report: dict[str, Any]) -> None:
    """What training, search and diagnosis found."""
    if "qat" in report:
        _show_qat(report["qat"])
    if "max_drop" in report:
        _show_search(report["max_drop"])
    if "debug" in report:
        _show_debug(report["debug"])


def _show_qat(found: dict[str, Any]) -> None:
    o, agreement = out(), found["agreement"]
    last = found["epochs"][-1]
    text = f"trained {found['steps']} steps on {found['samples']} samples, loss {last['loss']:.4f}"
    if found["resumed_at_step"] is not None:
        text += f", gone on from step {found['resumed_at_step']}"
    o.line(text)
    text = f"simulation and integer model: {agreement['outputs']:.3%} of outputs equal"
    if agreement["argmax"] is not None:
        text += f", {agreement['argmax']:.3%} of decisions"
    o.line(f"{text}, on {agreement['samples']} samples ({agreement['kernels']})")


def _show_search(found: dict[str, Any]) -> None:
    o = out()
    first, last = found["first"], found["last"]
    o.line(
        f"--max-drop {found['bound_points']:g}: {len(last['raised'])} operators raised; "
        f"{first['drop']:+.2f} points lost before, {last['drop']:+.2f} now "
        f"({found['samples']} samples); {found['bytes_added']:+,} bytes"
    )
    for name, scheme in last["raised"]:
        o.line(f"  {scheme:<8} {_short(name)}")
    macs = ", ".join(f"{count:,} in {scheme}" for scheme, count in found["macs"].items())
    o.line(f"multiply-accumulates of an inference: {macs}")
    cost = found.get("instructions")
    if cost is None:
        return
    for name in ("first", "last"):
        if f"{name}_missing" in cost:
            o.line(f"instructions not counted: {cost[f'{name}_missing']}")
            return
    grown = cost["last"] / cost["first"] - 1
    o.line(
        f"{cost['target']}: {cost['first']:,} instructions of an inference before, "
        f"{cost['last']:,} now ({grown:+.1%}), counted by the emulator"
    )


def _show_debug(found: dict[str, Any]) -> None:
    o = out()
    o.line(f"operators by what they alone cost the output ({found['samples']} samples):")
    columns = [Column("operator"), Column("alone dB", right=True), Column("SQNR dB", right=True)]
    columns += [Column("cosine", right=True), Column("saturated", right=True), Column("why")]
    rows = [
        [
            _short(entry["name"]),
            _decibels(entry["alone_db"]),
            _decibels(entry["sqnr_db"]),
            f"{entry['cosine']:.5f}",
            f"{entry['saturated']:.2%}",
            "; ".join(entry["why"]),
        ]
        for entry in found["operators"][:_SHOWN]
    ]
    o.table(columns, rows)
    for attempt in [a for a in found["attempts"] if a["gain_db"] > 0][:_SHOWN]:
        what = f"{_short(attempt['name'])} as {attempt['repair']}"
        if not attempt["name"]:
            what = f"--{attempt['repair']}"
        o.line(f"repair: {what}: {attempt['gain_db']:+.1f} dB, {attempt['bytes']:+,} bytes")


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _short(name: str) -> str:
    """The last part of what converters string together."""
    return name.split(";")[-1][-48:]
