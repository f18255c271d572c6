"""Several runs in one table: a row for each board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgepack.report.figures import UNMEASURED, integer, microseconds, percent
from edgepack.report.schema import RunReport

COLUMNS = (
    ("on", False),
    ("samples", True),
    ("instructions", True),
    ("latency", True),
    ("accuracy", True),
    ("flash [B]", True),
    ("RAM [B]", True),
    ("stack peak [B]", True),
    ("output bytes equal to the oracle's", False),
)


@dataclass(frozen=True)
class Line:
    """One board: its name, its report (None when it left none) and the kind of its error."""

    name: str
    report: RunReport | None
    error: str | None = None


def show_several(lines: Sequence[Line], console: Console) -> None:
    """Print the table, and below it a line for each model."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title, right in COLUMNS:
        table.add_column(Text(title), justify="right" if right else "left")
    for line in lines:
        failed = line.error is not None
        table.add_row(*(Text(c) for c in cells(line)), style="bold red" if failed else None)
    console.print(table)
    if any(x.report is not None and x.report.target.kind == "emulated" for x in lines):
        console.print(Text("Emulated boards: instructions are exact, their time is not measured."))


def cells(line: Line) -> list[str]:
    """A board's row."""
    report = line.report
    if report is None:
        return [line.name, *[UNMEASURED] * (len(COLUMNS) - 2), f"failed: {line.error}"]
    device, sizes, samples = report.device, report.sizes, report.samples
    return [
        f"{line.name} ({report.model.name}, {report.target.kind})",
        f"{samples.done:,} of {samples.requested:,}",
        integer(device.instructions.median if device.instructions else None),
        microseconds(device.latency_us.median if device.latency_us else None),
        percent(report.accuracy.device if report.accuracy else None),
        integer(sizes.flash_bytes.total if sizes else None),
        integer(sizes.ram_bytes.total if sizes else None),
        integer(sizes.ram_bytes.stack_peak if sizes else None),
        _parity(line),
    ]


def _parity(line: Line) -> str:
    assert line.report is not None
    parity = line.report.parity
    if parity is None:
        text = "not compared"
    else:
        share = f"{parity.bytes - parity.mismatched_bytes:,} of {parity.bytes:,}"
        text = f"yes, {share}" if parity.first_mismatch is None else f"NO, {share}"
    return text if line.error is None else f"{text}; failed: {line.error}"
