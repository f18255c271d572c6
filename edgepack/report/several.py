"""Several runs in one table: a row for each board or phone, the host beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgepack.report.figures import UNMEASURED, integer, microseconds, percent
from edgepack.report.schema import RunReport


@dataclass(frozen=True)
class Line:
    """One board: its name, its report (None when it left none) and the kind of its error."""

    name: str
    report: RunReport | None
    error: str | None = None


@dataclass(frozen=True)
class Overview:
    """The table as text: titles, which columns are numbers, and a row for each line."""

    titles: tuple[str, ...]
    right: frozenset[int]
    rows: tuple[tuple[str, ...], ...]


# Left out where no line has a figure: a phone has no flash, a board no file.
_FIGURES: tuple[tuple[str, Callable[[RunReport], str]], ...] = (
    ("samples", lambda r: f"{r.samples.done:,} of {r.samples.requested:,}"),
    (
        "instructions",
        lambda r: integer(r.device.instructions.median if r.device.instructions else None),
    ),
    ("latency", lambda r: _latency(r)),
    ("host", lambda r: microseconds(r.host.latency_us.median if r.host else None)),
    ("accuracy", lambda r: percent(r.accuracy.device if r.accuracy else None)),
    ("model [B]", lambda r: integer(r.model.file_bytes if r.phone else None)),
    ("flash [B]", lambda r: integer(r.sizes.flash_bytes.total if r.sizes else None)),
    ("RAM [B]", lambda r: integer(r.sizes.ram_bytes.total if r.sizes else None)),
    ("stack peak [B]", lambda r: integer(r.sizes.ram_bytes.stack_peak if r.sizes else None)),
)
_NAME, _PARITY = "on", "output bytes equal to the oracle's"


def overview(lines: Sequence[Line]) -> Overview:
    """The table of several runs."""
    columns: list[tuple[str, list[str]]] = []
    for title, text in _FIGURES:
        cells = [UNMEASURED if line.report is None else text(line.report) for line in lines]
        if any(cell != UNMEASURED for cell in cells):
            columns.append((title, cells))
    rows = zip(
        map(_name, lines), *(cells for _, cells in columns), map(_parity, lines), strict=True
    )
    return Overview(
        (_NAME, *(title for title, _ in columns), _PARITY),
        frozenset(range(1, len(columns) + 1)),
        tuple(rows),
    )


def show_several(lines: Sequence[Line], console: Console) -> None:
    """Print the table, and below it what its figures are not."""
    shown = overview(lines)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, title in enumerate(shown.titles):
        table.add_column(Text(title), justify="right" if index in shown.right else "left")
    for line, row in zip(lines, shown.rows, strict=True):
        style = None if line.error is None else "bold red"
        table.add_row(*(Text(cell) for cell in row), style=style)
    console.print(table)
    if any(x.report is not None and x.report.target.kind == "emulated" for x in lines):
        console.print(Text("Emulated boards: instructions are exact, their time is not measured."))


def _name(line: Line) -> str:
    report = line.report
    if report is None:
        return line.name
    if report.phone is not None:
        return f"{report.model.name} on {report.target.id}"
    return f"{line.name} ({report.model.name}, {report.target.kind})"


def _latency(report: RunReport) -> str:
    phone = report.phone
    if report.device.latency_us is None and phone is not None and phone.average_us is not None:
        return f"mean {microseconds(phone.average_us)}"  # a release that prints no median
    return microseconds(report.device.latency_us.median if report.device.latency_us else None)


def _parity(line: Line) -> str:
    if line.report is None:
        return f"failed: {line.error}"
    parity = line.report.parity
    if parity is None:
        text = "not compared"
    else:
        share = f"{parity.bytes - parity.mismatched_bytes:,} of {parity.bytes:,}"
        text = f"yes, {share}" if parity.first_mismatch is None else f"NO, {share}"
    return text if line.error is None else f"{text}; failed: {line.error}"
