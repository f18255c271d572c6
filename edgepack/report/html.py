"""A run as one HTML file that needs nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence, Set
from html import escape

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
from edgepack.report.schema import Layer, RunReport
from edgepack.report.several import Line, overview

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #3b82f6; --good: #16a34a; --bad: #dc2626 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums }
.good { color: var(--good) } .bad { color: var(--bad); font-weight: 600 } .dim { opacity: .7 }
.bar { background: var(--bar); height: .7rem; min-width: 1px; border-radius: 2px }
td.w { width: 26% } code { overflow-wrap: anywhere }
"""


def render_html(report: RunReport) -> str:
    """The page of one run. Everything in it is escaped; it holds no script and no link."""
    return render_pages([report])


def render_pages(reports: Sequence[RunReport]) -> str:
    """One page of any number of runs: a table of all of them first where there are several.

    Raises:
        ValueError: there is no run.
    """
    if not reports:
        raise ValueError("a page needs a run")
    title = ", ".join(dict.fromkeys(f"{r.model.name} on {r.target.id}" for r in reports))
    first = _overview(reports) if len(reports) > 1 else ""
    return page(title, [x for x in (first, *map(_run, reports)) if x])


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of parts that are HTML already; the title is escaped here."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _overview(reports: Sequence[RunReport]) -> str:
    shown = overview(
        [Line(r.target.id, r, r.failure.error if r.failure is not None else None) for r in reports]
    )
    body = _table(shown.titles, shown.rows, right=shown.right)
    return f"<h1>{len(reports)} runs</h1>\n{body}"


def _run(report: RunReport) -> str:
    sections = [
        _head(report),
        _section("Speed", _speed(report)),
        _section("Phone", _phone(report)),
        _section("Memory", _table(["", "bytes"], size_rows(report), right={1})),
        _section("Layers", _layers(report.layers)),
        _section("Operators, profiled in a run of their own", _operators(report)),
        _section("How it was made", _table(["", ""], _provenance(report), right=set())),
    ]
    return "\n".join(s for s in sections if s)


def _head(report: RunReport) -> str:
    passed = report.parity is None or report.parity.first_mismatch is None
    lines = [
        f"<h1>{escape(report.model.name)}</h1>",
        f'<p class="dim">on {escape(target_text(report))}</p>',
        f"<p>{escape(samples_text(report))}</p>",
        f'<p class="{"good" if passed else "bad"}">{escape(parity_text(report))}</p>',
    ]
    lines += [f"<p>{escape(text)}</p>" for text in interruption_lines(report)]
    if report.failure is not None:
        lines.append(f'<p class="bad">stopped: {escape(report.failure.message)}</p>')
    return "\n".join(lines)


def _speed(report: RunReport) -> str:
    host = "host"
    if report.host is not None:
        host = f"host: {report.host.runtime} {report.host.version}, {report.host.threads} thread(s)"
    rows = [(r.what, r.device, r.host) for r in speed_rows(report)]
    return _table(["", f"device: {report.target.id}", host], rows, right={1, 2})


def _phone(report: RunReport) -> str:
    """How the phone measured, in which state, and what to distrust."""
    phone = report.phone
    if phone is None:
        return ""
    rows = [("program", phone.program), ("SoC", phone.soc), ("serial", phone.serial)]
    rows += [("flags", " ".join(phone.flags))] if phone.flags else []
    lines = [f"<p>{escape(text)}</p>" for text in phone_lines(report)]
    lines += [f'<p class="bad">warning: {escape(text)}</p>' for text in phone.warnings]
    return "\n".join((_table(("", ""), rows, right=set()), *lines))


def _operators(report: RunReport) -> str:
    ops = () if report.phone is None else report.phone.ops
    rows = [(op.op, op.name, microseconds(op.average_us), str(op.calls)) for op in ops]
    return _table(("op", "name", "mean", "calls"), rows, right={2, 3})


def _layers(layers: Sequence[Layer]) -> str:
    if not layers:
        return ""
    field = next(
        (
            name
            for name in ("latency_us", "instructions", "modelled_cycles")
            if any(getattr(layer, name) is not None for layer in layers)
        ),
        "macs",
    )
    costs = [float(getattr(layer, field) or 0) for layer in layers]
    most = max(costs) or 1.0
    show = microseconds if field == "latency_us" else integer
    titles = ["#", "op", "kernel", "MACs", "weights"] + ([field] if field != "macs" else []) + [""]
    head = "".join(
        f'<th class="n">{t}</th>' if t not in ("op", "kernel", "") else f"<th>{t}</th>"
        for t in titles
    )
    body = []
    for layer, cost in zip(layers, costs, strict=True):
        cells = [
            f'<td class="n">{layer.index}</td><td>{escape(layer.op)}</td>',
            f"<td>{escape(layer.kernel)}</td>",
            f'<td class="n">{integer(layer.macs)}</td>',
            f'<td class="n">{size(layer.weight_bytes)}</td>',
        ]
        if field != "macs":
            cells.append(f'<td class="n">{show(getattr(layer, field))}</td>')
        cells.append(
            f'<td class="w"><div class="bar" style="width:{100 * cost / most:.1f}%"></div></td>'
        )
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(body) + "\n</table>"


def _provenance(report: RunReport) -> list[tuple[str, str]]:
    rows = [
        ("edgepack", report.edgepack_version),
        ("runtime", report.runtime),
        ("build id", report.build_id),
        ("model SHA-256", report.model.sha256),
        ("samples SHA-256", report.samples.sha256),
    ]
    if report.toolchain is not None:
        rows.append(("compiler", report.toolchain.version))
        rows.append(("flags", " ".join(report.toolchain.flags)))
    if report.host is not None and report.host.cpu is not None:
        rows.append(("host CPU", report.host.cpu))
    return rows


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}" if body else ""


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Set[int]) -> str:
    """A table of text, which is escaped; nothing where there are no rows."""
    if not rows:
        return ""

    def cell(tag: str, index: int, text: str) -> str:
        mark = ' class="n"' if index in right else ""
        shown = escape(text.lstrip())
        indent = "&emsp;" if text.startswith("  ") else ""
        return f"<{tag}{mark}>{indent}{shown}</{tag}>"

    head = "".join(cell("th", i, t) for i, t in enumerate(titles))
    body = "\n".join(
        f"<tr>{''.join(cell('td', i, t) for i, t in enumerate(row))}</tr>" for row in rows
    )
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"
