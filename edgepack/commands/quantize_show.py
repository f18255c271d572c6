"""`edgepack quantize`: what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepack.commands.output import Column, out

if TYPE_CHECKING:
    from edgepack.quantize.run import Outcome

_SHOWN = 8


def show(done: Outcome, destination: Path) -> None:
    """Print the report of a quantization."""
    from edgepack.report.quantized import evaluation_head, evaluation_rows, output_lines, short

    o, report = out(), done.report
    sizes = report["bytes"]
    kinds = ", ".join(f"{count} {name}" for name, count in report["types"].items())
    o.line(f"{sizes['float']:,} bytes -> {sizes['quantized']:,}; tensors: {kinds}")
    schemes: dict[str, int] = {}
    for entry in report["operators"]:
        schemes[entry["scheme"]] = schemes.get(entry["scheme"], 0) + 1
    if schemes:
        o.line("operators: " + ", ".join(f"{n} {name}" for name, n in schemes.items()))
    rules = report["rules"]["rules"]
    if len(rules) > 1:
        o.line("rules, the last that matches counts:")
        for rule in rules:
            scope = rule["scope"] and short(rule["scope"])
            o.line(f"  {rule['op']:<20} {scope or 'everywhere':<50} {rule['scheme']}")
    rows = evaluation_rows(report)
    if rows:
        head = evaluation_head(report)
        o.table([Column(head[0]), *(Column(title, right=True) for title in head[1:])], rows)
    for line in output_lines(report):
        o.line(line)
    _show_steps(report)
    for warning in report["warnings"]:
        o.line(f"warning: {warning}", style="yellow")
    fit = report.get("target")
    if fit is not None:
        o.line(
            f"{fit['target']}: {fit['constant_bytes']:,} bytes of constants, "
            f"{fit['arena_bytes']:,} bytes of RAM for activations"
        )
    times = ", ".join(f"{name} {value:.1f} s" for name, value in report["seconds"].items())
    o.line(f"{times}")
    o.line(f"{sizes['quantized']:,} bytes in {destination}")
    o.note(f"next:  edgepack inspect {destination}")


def _show_steps(report: dict[str, Any]) -> None:
    """What training, search and diagnosis found."""
    from edgepack.report.quantized import (
        DEBUG_HEAD,
        attempt_lines,
        debug_rows,
        search_lines,
        training_lines,
    )

    o = out()
    lines = training_lines(report["qat"]) if "qat" in report else []
    for line in [*lines, *(search_lines(report["max_drop"]) if "max_drop" in report else [])]:
        o.line(line)
    if "debug" in report:
        found = report["debug"]
        o.line(f"operators by what they alone cost the output ({found['samples']} samples):")
        middle = [Column(title, right=True) for title in DEBUG_HEAD[1:-1]]
        columns = [Column(DEBUG_HEAD[0]), *middle, Column(DEBUG_HEAD[-1])]
        o.table(columns, debug_rows(found)[:_SHOWN])
        for line in attempt_lines(found, _SHOWN):
            o.line(line)
