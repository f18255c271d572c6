"""What `edgepack compress` shows: the network after each step, and what the device sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.commands.output import Column, out


def show(report: dict[str, Any], destination: Path) -> None:
    """The report of `compress`, as tables and lines."""
    o, steps = out(), report["steps"]
    stages = [("before", steps[0]["before"])]
    stages += [(step["method"], step["after"]) for step in steps]
    columns = [Column("after step"), Column("parameters", right=True)]
    columns += [Column("not zero", right=True), Column("MACs", right=True)]
    o.table([*columns, Column("test split", right=True)], [_row(*stage) for stage in stages])
    if "device" in steps[0]["before"]:
        _show_device(stages)
    for step in steps:
        for layer in step["layers"]:
            if layer["note"]:
                o.detail(f"{step['method']}: {layer['name']}: {layer['note']}")
        measured = "device" in step["after"]
        o.line(
            f"{step['method']}: {'' if measured else 'the device saves '}{step['device_saving']}"
        )
    if "coded" in report:
        coded = report["coded"]
        o.line(
            f"coded as Deep Compression counts: {coded['compressed']:,} of {coded['original']:,} "
            f"bytes, a ratio of {coded['ratio']:.1f}"
        )
    o.note(f"next:  edgepack quantize {destination} --data DATA -o {destination.stem}.tflite")


def _show_device(stages: list[tuple[str, dict[str, Any]]]) -> None:
    """What was built and run: the table, and where outputs differ."""
    o, first = out(), stages[0][1]["device"]
    titles = ("test split", "flash", "RAM", "instructions")
    rows, wrong = [], []
    for name, figures in stages:
        device = figures["device"]
        costs = [f"{device[cost]:,.0f}" for cost in ("flash", "ram", "instructions")]
        rows.append([name, score_text(device["test"]), *costs])
        if device["mismatched_bytes"]:
            wrong.append(name)
    o.line(f"{first['scheme']} on {first['target']}, built for {first['optimize']}:")
    o.table([Column("after step"), *(Column(title, right=True) for title in titles)], rows)
    if wrong:
        o.line(f"outputs differ from the oracle's: {', '.join(wrong)}", style="red")


def score_text(test: dict[str, Any] | None) -> str:
    """A score as a person reads it; nothing where there is none."""
    if test is None:
        return ""
    if test["metric"] == "top1":
        return f"{100 * test['value']:.2f} %"
    return f"{test['value']:.6g} {test['metric']}"


def _row(name: str, figures: dict[str, Any]) -> list[str]:
    counts = (figures["parameters"], figures["nonzero_parameters"], figures["macs"])
    return [name, *(f"{count:,}" for count in counts), score_text(figures["test"])]
