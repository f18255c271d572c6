"""`edgepack bench MODEL --phone ...`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgepack.commands.output import out

if TYPE_CHECKING:
    from edgepack.bench.phone.settings import PhoneSettings
    from edgepack.bench.project import BenchRequest
    from edgepack.bench.several import BoardRun
    from edgepack.link.adb_program import Adb
    from edgepack.models.progress import Progress
    from edgepack.pipeline.phone import Plan


@dataclass(frozen=True)
class PhoneOptions:
    """What the command line says about phones; edgepack/bench/phone/settings.py describes it."""

    phones: Sequence[str]
    binary: str | None
    cpus: str
    threads: int
    warmup_ms: int
    min_runs: int
    min_secs: float
    max_secs: float
    accelerator: str
    flags: Sequence[str]
    profile: bool
    parent: str | None
    compare: str | None
    work: Path
    patience: float
    program_seconds: float


def bench_phones(
    models: Sequence[Path],
    base: BenchRequest,
    options: PhoneOptions,
    json_file: Path | None,
    *,
    layers: bool,
) -> None:
    """Run models on phones and print one run, or a table of all."""
    from dataclasses import replace

    from edgepack.pipeline.phone import PhoneRequest, open_phones, plan_runs

    adb, serials = open_phones(options.phones)
    settings = _settings(options, adb)
    with out().progress() as progress:
        made, base = _variants(models, base, options, progress)
        request = PhoneRequest(made, serials, base, settings, options.work)
        if len(made) * len(serials) == 1 and json_file is not None:
            request = replace(request, base=replace(base, json_path=json_file))
        _announce(settings)
        plan = plan_runs(request, progress)
        alone = len(plan.runs) == 1 and not plan.left_out
        runs = [] if alone else _run_all(plan.runs, progress)
    if alone:
        _single(plan.runs[0], layers)
    else:
        _show(plan, runs, json_file or options.work / "runs.json")


def _settings(options: PhoneOptions, adb: Adb) -> PhoneSettings:
    from edgepack.bench.phone.folder import PARENT
    from edgepack.bench.phone.settings import PhoneSettings

    return PhoneSettings(
        adb,
        "",
        binary=options.binary,
        cpus=options.cpus,
        threads=options.threads if options.binary is not None else 1,
        warmup_ms=options.warmup_ms,
        min_runs=options.min_runs,
        min_secs=options.min_secs,
        max_secs=options.max_secs,
        accelerator=options.accelerator,
        flags=tuple(options.flags),
        profile=options.profile,
        parent=options.parent or PARENT,
        patience=options.patience,
        program_seconds=options.program_seconds,
    )


def _announce(settings: PhoneSettings) -> None:
    from edgepack.errors import UsageError

    if settings.binary is None and (settings.flags or settings.accelerator != "cpu"):
        raise UsageError(
            "--accelerator and --benchmark-flag are of TFLite's benchmark_model",
            next_step="--benchmark-binary FILE",
        )


def _variants(
    models: Sequence[Path], base: BenchRequest, options: PhoneOptions, progress: Progress
) -> tuple[Sequence[Path], BenchRequest]:
    """The models to run, and the run with the samples that are left to judge them by."""
    from dataclasses import replace

    from edgepack.errors import UsageError
    from edgepack.pipeline.phone_variants import make_variants, parse_variants

    if options.compare is None:
        return models, base
    if len(models) != 1:
        raise UsageError("--compare makes variants of one model", allowed="one MODEL")
    names = parse_variants(options.compare)
    made = make_variants(models[0], names, options.work / "models", base.data, progress)
    return made.models, replace(base, data=made.samples)


def _run_all(planned: Sequence[BenchRequest], progress: Progress) -> list[BoardRun]:
    from edgepack.bench.several import bench_several
    from edgepack.pipeline.phone import rounds

    runs: list[BoardRun] = []
    for group in rounds(planned):
        runs += bench_several(group, progress)
    return runs


def _single(request: BenchRequest, layers: bool) -> None:
    from edgepack.bench.project import bench
    from edgepack.report.schema import read_run
    from edgepack.report.terminal import show_run

    assert request.json_path is not None  # plan_runs
    with out().progress() as progress:
        report = bench(request, progress)
    if out().options.as_json:
        out().json(read_run(request.json_path).model_dump(mode="json"))
        return
    show_run(report, out().console(), layers=layers)
    out().note(f"report: {request.json_path}")


def _show(plan: Plan, runs: Sequence[BoardRun], path: Path) -> None:
    from edgepack.bench.several import exit_code, runs_document, write_runs
    from edgepack.report.several import Line, show_several

    document = runs_document(runs)
    document["left_out"] = [
        {"model": x.model, "phone": x.phone, "error": x.error.as_dict()} for x in plan.left_out
    ]
    write_runs(path, document)
    lines = [Line(r.label, r.report, None if r.error is None else r.error.kind) for r in runs]
    out().result(document, lambda: show_several(lines, out().console()))
    for x in plan.left_out:
        out().note(f"left out: {x.model} on {x.phone}: {x.error.message.splitlines()[0]}")
    for run in runs:
        phone = None if run.report is None else run.report.phone
        for text in () if phone is None else phone.warnings:
            out().note(f"{run.label}: {text}")
        if run.error is not None:
            out().note(f"{run.label}: {run.error}")
    out().note(f"reports: {path}, and {', '.join(str(r.request.json_path) for r in runs)}")
    if exit_code(runs):
        raise typer.Exit(exit_code(runs))
