"""`edgepack report`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgepack.commands.output import out

if TYPE_CHECKING:
    from edgepack.report.schema import RunReport


class Action(StrEnum):
    """What is made of the files."""

    SHOW = "show"
    HTML = "html"
    COMPARE = "compare"


def report(
    action: Annotated[
        Action,
        typer.Argument(
            metavar="ACTION",
            help="show: print the runs. html: one page that needs no network. compare: two runs.",
        ),
    ],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="RUN.json...", help="What bench wrote; runs.json holds several."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="With html: where the page goes; by default beside the first file.",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="With show: also the figures of each layer.")
    ] = False,
) -> None:
    """Print, compare, or make a page of what `edgepack bench` measured.

    \b
    Examples:
        edgepack report show build/model/run.json --layers
        edgepack report html build/*/run.json --out boards.html
        edgepack report compare before.json after.json
    """
    from edgepack.errors import UsageError
    from edgepack.report.files import read_runs

    if output is not None and action is not Action.HTML:
        raise UsageError("--out goes with html", allowed="edgepack report html RUN.json... --out F")
    runs = [run for file in files for run in read_runs(file)]
    if action is Action.HTML:
        _html(runs, output or files[0].with_suffix(".html"))
    elif action is Action.COMPARE:
        if len(runs) != 2:
            raise UsageError(
                f"compare was given {len(runs)} runs",
                allowed="two, the earlier one first",
                next_step="edgepack report compare BEFORE.json AFTER.json",
            )
        _compare(runs)
    else:
        _show(runs, layers)


def _html(runs: list[RunReport], path: Path) -> None:
    from edgepack.errors import DataError
    from edgepack.report.html import render_pages

    try:
        path.write_text(render_pages(runs), encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    out().result({"page": path.as_posix(), "runs": len(runs)}, lambda: out().line(str(path)))


def _compare(runs: list[RunReport]) -> None:
    from dataclasses import asdict

    from edgepack.report.compare import compare_runs
    from edgepack.report.terminal import show_comparison

    comparison = compare_runs(*runs)
    out().result(asdict(comparison), lambda: show_comparison(comparison, out().console()))


def _show(runs: list[RunReport], layers: bool) -> None:
    from edgepack.report.several import Line, show_several
    from edgepack.report.terminal import show_run

    def show() -> None:
        for run in runs:
            show_run(run, out().console(), layers=layers)
        if len(runs) > 1:
            lines = [Line(r.target.id, r, r.failure.error if r.failure else None) for r in runs]
            show_several(lines, out().console())

    out().result([run.model_dump(mode="json") for run in runs], show)
