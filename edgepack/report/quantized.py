"""How the report of `edgepack quantize` reads: the same lines in terminal and page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORST = 3
_NAMES = {"float": "float", "quantized": "quantized, here", "device": "quantized, {}"}

Report = Mapping[str, Any]


def evaluation_head(report: Report) -> list[str]:
    """Titles of the table of accuracy; empty where nothing was judged."""
    figures = (report["evaluation"] or {}).get("float")
    if figures is None:
        return []
    first = "top-1 %" if figures["metric"] == "top1" else figures["metric"]
    return ["model", first, "95 %", _second(figures)[0], "samples"]


def evaluation_rows(report: Report) -> list[list[str]]:
    """Float, integer here, integer on the device; those on fewer samples where the device ran so
    many.
    """
    evaluated = report["evaluation"] or {}
    rows = [_cells(_NAMES[k], evaluated[k]) for k in ("float", "quantized") if evaluated.get(k)]
    device = evaluated.get("device")
    if device is None or not device.get("device"):
        return rows
    if device["samples"] < evaluated["samples"]:
        rows += [
            _cells(f"{_NAMES[k]}: device's samples", device[k]) for k in ("float", "quantized")
        ]
    return [*rows, _cells(_NAMES["device"].format(device["target"]), device["device"])]


def output_lines(report: Report) -> list[str]:
    """How far outputs are from float's, and classes with the least recall."""
    evaluated = report["evaluation"] or {}
    lines = []
    for entry in evaluated.get("outputs", ()):
        exact = "equal" if entry["sqnr_db"] is None else f"{entry['sqnr_db']:.1f} dB"
        judged = (evaluated.get("float") or {}).get("metric", "top1")
        decides = entry["same_class"] is not None and judged == "top1"
        same = f", same class {entry['same_class']:.2%}" if decides else ""
        lines.append(
            f"output against float: SQNR {exact}, largest error {entry['max_abs']:.3g}{same}"
        )
    recalls = (evaluated.get("quantized") or {}).get("recall") or []
    known = sorted((r, i) for i, r in enumerate(recalls) if r is not None)
    if len(known) > _WORST:
        worst = ", ".join(f"class {i} {100 * r:.1f} %" for r, i in known[:_WORST])
        lines.append(f"least recall: {worst}")
    for name in ("float", "quantized"):
        own = evaluated.get(f"{name}_user")
        if own is not None:
            lines.append(f"{own['metric']}: {own['value']:.6g} ({name})")
    return [*lines, *device_lines(report)]


def device_lines(report: Report) -> list[str]:
    """What ran on the device, and which bytes differ from whose."""
    device = (report["evaluation"] or {}).get("device")
    if device is None:
        return []
    line = f"{device['target']} ({device['kind']}): {device['samples']} of {device['of']} samples"
    if device["instructions"] is not None:
        line += f", {device['instructions']:,.0f} instructions of an inference"
    if device["latency_us"] is not None:
        line += f", {device['latency_us'] / 1000:.3f} ms of an inference"
    lines = [line]
    oracle, host = device["oracle"], device["host"]
    if oracle is not None:
        lines.append(_differing(oracle, oracle["oracle"]))
    return [*lines, _differing(host, f"{host['kernels']} on this computer")]


def _differing(record: Mapping[str, Any], other: str) -> str:
    wrong, total = record["mismatched_bytes"], record["bytes"]
    text = f"output bytes that differ from {other}: {wrong:,} of {total:,}"
    return text if not wrong else f"{text}, by {record['max_abs_diff']:g} at most"


def _second(figures: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text of the second figure: top-k of many classes, AUC of two, PSNR of numbers."""
    top = next((k for k in figures if k.startswith("top")), None)
    if top is not None:
        return f"top-{top.removeprefix('top')} %", f"{100 * figures[top]:.2f}"
    if figures.get("auc") is not None:
        return "AUC", f"{figures['auc']:.4f}"
    if figures.get("psnr_db") is not None:
        return "PSNR dB", f"{figures['psnr_db']:.2f}"
    return "", ""


def _cells(name: str, figures: Mapping[str, Any]) -> list[str]:
    n = str(figures["n"])
    if figures["metric"] != "top1":
        return [name, f"{figures['value']:.6g}", "", _second(figures)[1], n]
    low, high = figures["interval95"]
    return [
        name,
        f"{100 * figures['value']:.2f}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        _second(figures)[1],
        n,
    ]


DEBUG_HEAD = ("operator", "alone dB", "SQNR dB", "max error", "cosine", "saturated", "why")


def debug_rows(found: Report, shorten: bool = True) -> list[list[str]]:
    """One line per operator, those to blame first."""
    return [
        [
            short(entry["name"]) if shorten else entry["name"],
            decibels(entry["alone_db"]),
            decibels(entry["sqnr_db"]),
            f"{entry['max_abs']:.3g}",
            f"{entry['cosine']:.5f}",
            f"{entry['saturated']:.2%}",
            "; ".join(entry["why"]),
        ]
        for entry in found["operators"]
    ]


def attempt_lines(found: Report, most: int) -> list[str]:
    """Repairs that were tried and help, the best first."""
    lines = []
    for attempt in [a for a in found["attempts"] if a["gain_db"] > 0][:most]:
        what = f"{short(attempt['name'])} as {attempt['repair']}"
        if not attempt["name"]:
            what = f"--{attempt['repair']}"
        lines.append(f"repair: {what}: {attempt['gain_db']:+.1f} dB, {attempt['bytes']:+,} bytes")
    return lines


def search_lines(found: Report) -> list[str]:
    """The mixture that a search chose, and what it costs."""
    last = found["last"]
    lines = [
        f"--max-drop {found['bound_points']:g}: {len(last['raised'])} operators raised; "
        f"{found['given_drop_points']:+.2f} points lost before, {last['drop']:+.2f} now "
        f"({found['samples']} samples); {found['bytes_added']:+,} bytes"
    ]
    if found.get("equalized"):
        lines.append("channels were equalized first (--equalize), which costs the device nothing")
    lines += [f"  {scheme:<8} {short(name)}" for name, scheme in last["raised"]]
    macs = ", ".join(f"{count:,} in {scheme}" for scheme, count in found["macs"].items())
    lines.append(f"multiply-accumulates of an inference: {macs}")
    return [*lines, *_cost_lines(found.get("instructions"))]


def _cost_lines(cost: Mapping[str, Any] | None) -> list[str]:
    if cost is None:
        return []
    for name in ("first", "last"):
        if f"{name}_missing" in cost:
            return [f"instructions not counted: {cost[f'{name}_missing']}"]
    grown = cost["last"] / cost["first"] - 1
    return [
        f"{cost['target']}: {cost['first']:,} instructions of an inference before, "
        f"{cost['last']:,} now ({grown:+.1%}), counted by the emulator"
    ]


def training_lines(found: Report) -> list[str]:
    """What a training did, and whether the integer model computes the same."""
    agreement, last = found["agreement"], found["epochs"][-1]
    text = f"trained {found['steps']} steps on {found['samples']} samples, loss {last['loss']:.4f}"
    if found["resumed_at_step"] is not None:
        text += f", gone on from step {found['resumed_at_step']}"
    second = f"simulation and integer model: {agreement['outputs']:.3%} of outputs equal"
    if agreement["argmax"] is not None:
        second += f", {agreement['argmax']:.3%} of decisions"
    return [text, f"{second}, on {agreement['samples']} samples ({agreement['kernels']})"]


def decibels(value: float | None) -> str:
    """Decibels; nothing where there is no error."""
    return "" if value is None else f"{value:.1f}"


def short(name: str) -> str:
    """The last part of what converters string together."""
    return name.split(";")[-1][-48:]
