"""The report of `edgepack quantize` as one HTML file that needs nothing from the network."""

from __future__ import annotations

from html import escape
from typing import Any

from edgepack.report.parts import page, section, table
from edgepack.report.quantized import (
    DEBUG_HEAD,
    Report,
    attempt_lines,
    debug_rows,
    evaluation_head,
    evaluation_rows,
    output_lines,
    search_lines,
    short,
    training_lines,
)

_MOST_CLASSES = 20  # a confusion matrix of more is not read on a page
_ALL = 1 << 30


def render_quantized(report: Report, name: str) -> str:
    """The page. Everything in it is escaped; it holds no script and no link."""
    sizes = report["bytes"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in report["types"].items())
    parts = [
        f"<h1>{escape(name)}</h1>",
        _lines([f"{sizes['float']:,} bytes -> {sizes['quantized']:,}; tensors: {kinds}"]),
        *(f'<p class="bad">{escape(text)}</p>' for text in report["warnings"]),
        section("Accuracy", _accuracy(report)),
        section("Classes", _classes((report["evaluation"] or {}).get("quantized"))),
        section("Training", _training(report.get("qat"))),
        section("Cheapest mixture", _search(report.get("max_drop"))),
        section("Operators to blame", _debug(report.get("debug"))),
        section("Rules, the last that matches counts", _rules(report)),
        section("Schemes", _schemes(report)),
        section("Settings", _settings(report)),
    ]
    return page(name, [part for part in parts if part])


def _lines(lines: list[str]) -> str:
    return "\n".join(f"<p>{escape(line)}</p>" for line in lines)


def _accuracy(report: Report) -> str:
    rows = evaluation_rows(report)
    return table(evaluation_head(report), rows, right={1, 2, 3, 4}) + _lines(output_lines(report))


def _classes(figures: dict[str, Any] | None) -> str:
    confusion = (figures or {}).get("confusion")
    if figures is None or confusion is None or len(confusion) > _MOST_CLASSES:
        return ""
    titles = ["class", "recall", *(f"as {i}" for i in range(len(confusion)))]
    rows = [
        [str(i), "" if recall is None else f"{recall:.1%}", *map(str, row)]
        for i, (recall, row) in enumerate(zip(figures["recall"], confusion, strict=True))
    ]
    return table(titles, rows, right=set(range(1, len(titles))))


def _training(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    rows = [
        [str(number + 1), f"{epoch['loss']:.4f}", f"{epoch['accuracy']:.2%}"]
        for number, epoch in enumerate(found["epochs"])
    ]
    return _lines(training_lines(found)) + table(["epoch", "loss", "accuracy"], rows, right={1, 2})


def _search(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    rows = [
        [f"{len(trial['raised'])}", f"{trial['drop']:+.2f}", f"{trial['bytes']:,}"]
        for trial in found["trials"]
    ]
    return _lines(search_lines(found)) + table(
        ["operators raised", "points lost", "bytes"], rows, right={0, 1, 2}
    )


def _debug(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    titles = [*DEBUG_HEAD[:-1], "seen", "storable", "calibrated", DEBUG_HEAD[-1]]
    rows = [
        [*row[:-1], *(_range(entry[key]) for key in ("seen", "storable", "calibrated")), row[-1]]
        for row, entry in zip(debug_rows(found), found["operators"], strict=True)
    ]
    head = f"{found['samples']} samples; output {found['sqnr_db'] or 0:.1f} dB"
    tried = attempt_lines(found, _ALL)
    return _lines([head]) + table(titles, rows, right={1, 2, 3, 4, 5}) + _lines(tried)


def _range(pair: list[float] | None) -> str:
    return "" if pair is None else f"{pair[0]:.4g} to {pair[1]:.4g}"


def _rules(report: Report) -> str:
    rows = [[r["op"], r["scope"] or "everywhere", r["scheme"]] for r in report["rules"]["rules"]]
    return table(["op", "scope", "scheme"], rows, right=set())


def _schemes(report: Report) -> str:
    rows = [[o["op"], short(o["name"]), o["scheme"]] for o in report["operators"]]
    return table(["op", "output", "scheme"], rows, right=set())


def _settings(report: Report) -> str:
    rows = [[key, str(value)] for key, value in report["settings"].items() if value]
    return table(["", ""], rows, right=set())
