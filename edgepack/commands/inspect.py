"""`edgepack inspect`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.convert.report import Conversion
    from edgepack.inspection import Inspection, Room
    from edgepack.models.handle import ModelHandle


def inspect(
    model: Annotated[
        Path,
        typer.Argument(
            help="A model of any format, or file.py:function (docs/convert.md).",
            show_default=False,
        ),
    ],
) -> None:
    """Show what is in a model: operators, shapes, types, MACs, memory, and where it fits.

    \b
    Examples:
        edgepack inspect model.tflite
        edgepack inspect model.h5
        edgepack inspect model.tflite --json
    """
    from edgepack.inspection import inspect_tflite
    from edgepack.models.handle import ModelFormat
    from edgepack.models.load import format_of
    from edgepack.pipeline.convert_entry import names_entry

    if not names_entry(model) and format_of(model) is ModelFormat.TFLITE:
        report = inspect_tflite(model, _rooms())
        out().result(report.as_dict(), lambda: _show(report))
        return
    from edgepack.pipeline.convert import convert_cached

    with out().progress() as progress:
        done = convert_cached(model, progress=progress)
    report = replace(inspect_tflite(done.path, _rooms()), name=model.stem)
    handle = replace(done.source, macs=report.macs)
    document = {**report.as_dict(), "source": handle.as_dict(), "warnings": list(done.warnings)}

    def show() -> None:
        _show_source(handle, done)
        _show(report)

    out().result(document, show)


def _rooms() -> list[Room]:
    """Every target that has a limit; the host has none."""
    from edgepack.inspection import Room
    from edgepack.targets import load_targets

    return [
        Room(
            target.id,
            target.flash_bytes,
            target.ram_bytes,
            target.stack.bytes,
            frozenset(target.isa),
        )
        for target in load_targets()
        if target.flash_bytes is not None and target.ram_bytes is not None
    ]


def _show(report: Inspection) -> None:
    o = out()
    o.line(f"{report.name}: {report.file_bytes:,} bytes, sha256 {report.sha256[:16]}")
    for role, tensors in (("input", report.inputs), ("output", report.outputs)):
        for i, t in enumerate(tensors):
            shape = "x".join(map(str, t.shape)) or "scalar"
            scale = "" if t.scale is None else f", scale {t.scale:.6g}, zero point {t.zero_point}"
            o.line(f"{role} {i}: {t.dtype} {shape}{scale}   ({t.name})")
    columns = [
        Column("#", right=True),
        Column("operator"),
        Column("inputs"),
        Column("output"),
        Column("MACs", right=True),
        Column("constants [B]", right=True),
        Column("C runtime"),
    ]
    o.table(
        columns,
        [
            [
                f"{layer.index}" if layer.subgraph == 0 else f"{layer.subgraph}:{layer.index}",
                layer.op,
                " ".join(layer.inputs),
                " ".join(layer.outputs),
                f"{layer.macs:,}" if layer.supported else "-",
                f"{layer.weight_bytes:,}",
                "yes" if layer.supported else "NO",
            ]
            for layer in report.layers
        ],
    )
    most = " in the operators that the C runtime has" if report.problems else ""
    o.line(f"{report.macs:,} MACs{most}, {report.weights:,} weights")
    _show_support(report)
    if report.problems:
        o.line("The C runtime cannot run this model:")
        for problem in report.problems:
            o.line(f"  {problem}")
        o.line("What would avoid that:")
        for remedy in report.remedies:
            o.line(f"  {remedy}")
        return
    peak = f"; the peak is {report.peak}" if report.peak else ""
    o.line(
        f"{report.weight_bytes:,} bytes of constants in flash, "
        f"{report.arena_bytes:,} bytes of RAM for activations{peak} (portable kernels)"
    )
    o.table(
        [
            Column("target"),
            Column("flash [B]", right=True),
            Column("left for code [B]", right=True),
            Column("RAM [B]", right=True),
            Column("left for other data [B]", right=True),
            Column("fits"),
        ],
        [
            [
                fit.target,
                f"{fit.flash_bytes:,}",
                f"{fit.flash_left:,}",
                f"{fit.ram_bytes:,}",
                f"{fit.ram_left:,}",
                "yes" if fit.possible else f"NO, lacks {fit.missing}",
            ]
            for fit in report.fits
        ],
    )


def _show_support(report: Inspection) -> None:
    shown = {"yes": "yes", "no": "NO", "untried": "untried"}
    out().table(
        [
            Column("operator"),
            Column("types"),
            Column("times", right=True),
            Column("C runtime"),
            Column("TFLite Micro"),
        ],
        [
            [row.op, row.types, str(row.count), shown[row.c], shown[row.tflm]]
            for row in report.support
        ],
    )


def _show_source(handle: ModelHandle, done: Conversion) -> None:
    """What the file holds, before what it converts to."""
    o = out()
    written = f", written by {handle.producer}" if handle.producer else ""
    opset = f", operators {handle.opset}" if handle.opset else ""
    o.line(
        f"{handle.path.name}: {handle.format.value}, sha256 {handle.sha256[:16]}{written}{opset}"
    )
    for role, tensors in (("input", handle.inputs), ("output", handle.outputs)):
        for i, t in enumerate(tensors):
            shape = "x".join("?" if size < 0 else str(size) for size in t.shape) or "scalar"
            layout = f" {t.layout}" if t.layout else ""
            o.line(f"{role} {i}: {t.dtype.value} {shape}{layout}   ({t.name})")
    if handle.labels:
        o.line(f"{len(handle.labels)} labels: {', '.join(handle.labels[:12])}")
    for parity in done.parity:
        o.line(f"converted to .tflite, compared with the source: {parity}")
    for warning in done.warnings:
        o.line(f"warning: {warning}", style="yellow")
    o.line()
