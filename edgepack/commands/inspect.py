"""`edgepack inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.inspection import Inspection, Room
    from edgepack.models.handle import ModelHandle


def inspect(
    model: Annotated[Path, typer.Argument(help="A .tflite or .keras file.", show_default=False)],
) -> None:
    """Show what is in a model: operators, shapes, types, MACs, memory, and where it fits.

    \b
    Examples:
        edgepack inspect model.tflite
        edgepack inspect model.tflite --json
    """
    from edgepack.inspection import inspect_tflite
    from edgepack.models.load import load_model

    if model.suffix.lower() != ".tflite":
        with out().progress() as progress:
            progress("inspect", None, f"loading {model.name}")
            handle = load_model(model)
        out().result(_handle_document(handle), lambda: _show_handle(handle))
        return
    report = inspect_tflite(model, _rooms())
    out().result(report.as_dict(), lambda: _show(report))


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


def _handle_document(handle: ModelHandle) -> dict[str, object]:
    return {
        "name": handle.path.stem,
        "format": handle.format.value,
        "sha256": handle.sha256,
        "producer": handle.producer,
        "inputs": [tensor.as_dict() for tensor in handle.inputs],
        "outputs": [tensor.as_dict() for tensor in handle.outputs],
        "weights": handle.parameters,
    }


def _show_handle(handle: ModelHandle) -> None:
    o = out()
    o.line(f"{handle.path.name}: {handle.format.value}, sha256 {handle.sha256[:16]}")
    if handle.producer:
        o.line(f"written by {handle.producer}")
    for role, tensors in (("input", handle.inputs), ("output", handle.outputs)):
        for i, t in enumerate(tensors):
            shape = "x".join("?" if size < 0 else str(size) for size in t.shape)
            o.line(f"{role} {i}: {t.dtype.value} {shape}   ({t.name})")
    o.line(f"{handle.parameters:,} weights")
    o.line("Quantized to an integer .tflite, it can be compared with the targets.")
