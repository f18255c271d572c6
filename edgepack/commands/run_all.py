"""`edgepack run`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.pipeline.run import ConfigRun, TargetRun
    from edgepack.report.schema import RunReport


def run(
    config: Annotated[
        Path, typer.Argument(help="An edgepack.toml, or the folder that it lies in.")
    ] = Path("edgepack.toml"),
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Only this target of the configuration; repeatable."),
    ] = None,
) -> None:
    """Do everything: train, compress, quantize, build, flash, run on the device, compare.

    What was done before and has not changed is not done again (.edgepack-cache beside the
    configuration).

    \b
    Examples:
        edgepack run edgepack.toml
        edgepack run examples/digits --target netduinoplus2
    """
    from edgepack.config import load_config
    from edgepack.pipeline.run import run_config

    loaded = load_config(config)
    with out().progress() as progress:
        done = run_config(loaded, progress, only=target or ())
    out().result(_document(done), lambda: _show(done))
    if done.error is not None:
        if out().options.as_json:
            raise typer.Exit(done.error.exit_code)
        raise done.error


def _document(done: ConfigRun) -> dict[str, Any]:
    prepared = done.prepared
    return {
        "name": done.name,
        "model": str(prepared.tflite),
        "samples": None if prepared.samples is None else str(prepared.samples),
        "float": _float(done),
        "notes": list(prepared.notes),
        "stages": [
            {"name": name, "seconds": seconds, "reused": name in prepared.reused}
            for name, seconds in prepared.seconds.items()
        ],
        "targets": [
            {
                "target": run.target,
                "project": str(run.project),
                "run": None if run.report is None else run.report.model_dump(mode="json"),
                "error": None if run.error is None else run.error.as_dict(),
            }
            for run in done.targets
        ],
    }


def _show(done: ConfigRun) -> None:
    o, prepared = out(), done.prepared
    if prepared.seconds:
        stages = ", ".join(
            f"{name} {'(unchanged)' if name in prepared.reused else f'{seconds:.1f} s'}"
            for name, seconds in prepared.seconds.items()
        )
        o.line(f"{done.name}: {stages}")
    for note in prepared.notes:
        o.line(f"note: {note}", style="yellow")
    columns = [
        Column("on"),
        Column("instructions", right=True),
        Column("latency", right=True),
        Column("accuracy", right=True),
        Column("flash [B]", right=True),
        Column("RAM [B]", right=True),
        Column("stack peak [B]", right=True),
        Column("output bytes equal to the oracle's"),
    ]
    rows = [_row(run) for run in done.targets]
    host = next((r.report for r in done.targets if r.report and r.report.host), None)
    if host is not None:
        rows.append(_host_row(host))
    exact = _float(done)
    if exact is not None:
        shown = (
            f"{100 * exact['value']:.1f} %"
            if exact["metric"] == "top1"
            else f"{exact['value']:.6g}"
        )
        rows.append(["float model, the same samples", *["-"] * 2, shown, *["-"] * 3, ""])
    o.table(columns, rows)
    if any(r.report is not None and r.report.target.kind == "emulated" for r in done.targets):
        o.line("Emulated boards: instructions are exact, their time is not measured.")
    finished = [run for run in done.targets if run.error is None]
    if finished:
        o.line("Artefacts:")
    for run in finished:
        o.line(f"  {_short(run.project)}   model.tflite, C sources, image, manifest, run.json")
    if finished:
        project = _short(finished[0].project)
        o.line("Next:")
        o.line(f"  edgepack bench {project} --layers   every layer's share")
        o.line(f"  edgepack inspect {project}/model.tflite   what is in it and where it fits")


def _float(done: ConfigRun) -> dict[str, Any] | None:
    """The float model's accuracy on the samples that ran, where they were quantized with it."""
    from edgepack.quantize.int8 import float_accuracy

    samples = done.prepared.samples
    count = max((r.report.samples.done for r in done.targets if r.report is not None), default=0)
    if samples is None or samples.suffix != ".npz" or not count:
        return None
    found = float_accuracy(samples, count)
    return None if found is None else found.as_dict()


def _row(run: TargetRun) -> list[str]:
    from edgepack.report.figures import UNMEASURED, integer, microseconds, percent

    report = run.report
    if report is None:
        reason = run.error.kind if run.error is not None else ""
        return [run.target, *[UNMEASURED] * 6, f"failed: {reason}"]
    device, sizes = report.device, report.sizes
    return [
        f"{run.target} ({report.target.cpu}, {report.target.kind})",
        integer(device.instructions.median if device.instructions else None),
        microseconds(device.latency_us.median if device.latency_us else None),
        percent(report.accuracy.device if report.accuracy else None),
        integer(sizes.flash_bytes.total if sizes else None),
        integer(sizes.ram_bytes.total if sizes else None),
        integer(sizes.ram_bytes.stack_peak if sizes else None),
        _parity(run),
    ]


def _parity(run: TargetRun) -> str:
    report, parity = run.report, run.report.parity if run.report else None
    if run.error is not None and (parity is None or parity.first_mismatch is None):
        return f"failed: {run.error.kind}"
    if report is None or parity is None:
        return "not compared"
    equal = parity.bytes - parity.mismatched_bytes
    share = f"{equal:,} of {parity.bytes:,}, {parity.samples:,} samples"
    return f"yes, {share}" if parity.mismatched_bytes == 0 else f"NO, {share}"


def _host_row(report: RunReport) -> list[str]:
    from edgepack.report.figures import UNMEASURED, microseconds, percent

    host = report.host
    assert host is not None
    accuracy = percent(report.accuracy.host if report.accuracy else None)
    return [
        f"this computer ({host.runtime} {host.version})",
        UNMEASURED,
        microseconds(host.latency_us.median),
        accuracy,
        *[UNMEASURED] * 3,
        "",
    ]


def _short(path: Path) -> str:
    """A path as one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
