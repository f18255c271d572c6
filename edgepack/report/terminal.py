"""A run in the terminal: device and host side by side, sizes, parity, accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgepack.report.compare import Comparison
from edgepack.report.figures import (
    integer,
    interruption_lines,
    microseconds,
    parity_text,
    phone_lines,
    samples_text,
    size,
    size_rows,
    speed_rows,
    target_text,
)
from edgepack.report.schema import PhoneOp, RunReport


def show_run(report: RunReport, console: Console, *, layers: bool = False) -> None:
    """Print a run.

    Args:
        report: the run.
        console: where to print.
        layers: also print the table of layers.
    """
    model = report.model
    console.print(
        Text(f"{model.name}: {integer(model.macs)} MACs, {integer(model.weights)} weights"),
        style="bold",
    )
    console.print(Text(f"on {target_text(report)}"))
    for text in phone_lines(report):
        console.print(Text(f"phone    {text}"))
    if report.toolchain is not None:
        console.print(Text(f"runtime {report.runtime}, {_short(report.toolchain.version)}"))
    console.print(_speed_table(report))
    if report.sizes is not None:
        console.print(_size_table(report))
    if layers and report.phone is not None and report.phone.ops:
        console.print(_op_table(report.phone.ops))
    elif layers and report.layers:
        console.print(_layer_table(report))
    console.print(Text(f"samples  {samples_text(report)}"))
    passed = report.parity is None or report.parity.first_mismatch is None
    console.print(Text(f"parity   {parity_text(report)}"), style="green" if passed else "bold red")
    for text in report.phone.warnings if report.phone is not None else ():
        console.print(Text(f"warning  {text}"), style="yellow")
    for text in interruption_lines(report):
        console.print(Text(f"link     {text}"), style="yellow")
    if report.failure is not None:
        console.print(Text(f"stopped  {report.failure.message}"), style="bold red")


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print two runs side by side with the change of every figure."""
    table = _table(f"{comparison.before} -> {comparison.after}")
    for title in ("", "before", "after", "change"):
        table.add_column(Text(title), justify="right" if title else "left")
    for row in comparison.rows:
        table.add_row(Text(row.name), Text(row.before), Text(row.after), Text(row.change))
    console.print(table)
    for note in comparison.notes:
        console.print(Text(f"note: {note}"), style="yellow")


def _speed_table(report: RunReport) -> Table:
    host = report.host
    title = "host" if host is None else f"host: {host.runtime} {host.version}, {_threads(host)}"
    table = _table(None)
    table.add_column("")
    table.add_column(Text(f"device: {report.target.id}"), justify="right")
    table.add_column(Text(title), justify="right")
    for row in speed_rows(report):
        table.add_row(Text(row.what), Text(row.device), Text(row.host))
    return table


def _size_table(report: RunReport) -> Table:
    table = _table(None)
    table.add_column("memory")
    table.add_column("bytes", justify="right")
    for what, value in size_rows(report):
        table.add_row(Text(what), Text(value))
    return table


def _layer_table(report: RunReport) -> Table:
    measured = [
        (name, field)
        for name, field in (
            ("latency", "latency_us"),
            ("instructions", "instructions"),
            ("cycles (model)", "modelled_cycles"),
        )
        if any(getattr(layer, field) is not None for layer in report.layers)
    ]
    table = _table("layers")
    for title, right in (("#", True), ("op", False), ("kernel", False), ("MACs", True)):
        table.add_column(title, justify="right" if right else "left")
    table.add_column("weights", justify="right")
    for name, _ in measured:
        table.add_column(name, justify="right")
    for layer in report.layers:
        figures = [
            microseconds(getattr(layer, field))
            if field == "latency_us"
            else integer(getattr(layer, field))
            for _, field in measured
        ]
        cells = [str(layer.index), layer.op, layer.kernel, integer(layer.macs)]
        table.add_row(*(Text(c) for c in [*cells, size(layer.weight_bytes), *figures]))
    return table


def _op_table(ops: Sequence[PhoneOp]) -> Table:
    table = _table("operators, profiled by benchmark_model in a run of their own")
    for title, right in (("op", False), ("name", False), ("mean", True), ("calls", True)):
        table.add_column(title, justify="right" if right else "left")
    for op in ops:
        table.add_row(
            *(Text(c) for c in (op.op, op.name, microseconds(op.average_us), str(op.calls)))
        )
    return table


def _table(title: str | None) -> Table:
    return Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)


def _threads(host: object) -> str:
    count = getattr(host, "threads", 1)
    return f"{count} thread" + ("s" if count != 1 else "")


def _short(version: str) -> str:
    return version.splitlines()[0] if version else "unknown compiler"
