"""`edgepack bench --bisect`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from edgepack.bench.bisect import Findings, missing_reference
from edgepack.bench.project import BenchRequest
from edgepack.commands.output import out
from edgepack.errors import ParityError
from edgepack.pipeline.bisect import bisect_project


def bench_bisect(request: BenchRequest) -> None:
    """Look for the first wrong layer of one board, and say what was found.

    Raises:
        typer.Exit: a layer computed something else than the oracle.
        EdgepackError: as `bisect_project`.
    """
    with out().progress() as progress:
        result = bisect_project(request, progress)
    findings = result.findings
    document: dict[str, Any] = {
        "project": result.project.as_posix(),
        "target": result.target,
        "function": result.function,
        "reason": result.reason,
        **asdict(findings),
    }
    if findings.first is not None:
        document["first"]["tensor"] = findings.first.tensor.model_dump(mode="json")
        document["first"]["position"] = list(findings.first.position)

    def show() -> None:
        for line in _lines(findings, result.function, result.reason):
            out().line(line)

    out().result(document, show)
    if findings.first is not None:
        raise typer.Exit(ParityError.exit_code)


def _lines(findings: Findings, function: str | None, reason: str | None) -> list[str]:
    """The text for people, a line each."""
    compared = ", ".join(f"{n:,} with {name}" for name, n in sorted(findings.compared.items()))
    total = sum(findings.compared.values())
    head = f"{findings.samples} samples, {findings.layers} layers, {total:,} tensors compared"
    lines = [f"{head} ({compared})" if compared else head]
    missing = missing_reference(findings)
    if missing is not None:
        lines.append(f"note: {missing}")
    first = findings.first
    if first is None:
        lines.append(
            "every tensor that was compared is right" if missing else "every tensor is right"
        )
        return lines
    where = f"layer {first.layer} of {findings.layers}, {first.op}"
    lines += [
        f"the first tensor that differs: {first.tensor.name}, {where}, sample {first.sample}",
        f"  kernel   {first.kernel}" + (f" as {function}" if function else ""),
        f"  element  {first.index} {list(first.position)}: got {first.actual}, expected "
        f"{first.expected} ({first.against})",
        f"  differ   {first.differing:,} of {first.elements:,} elements; every tensor before is "
        "right",
    ]
    if reason:
        lines.insert(-2, f"  chosen   {reason}")
    if not first.repeated:
        lines.append("  the device gave other bytes when it ran the sample again: look for memory")
        lines.append("  that is used before it is set, or a broken power supply")
    return lines
