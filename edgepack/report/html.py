"""A run as one HTML file that needs nothing from the network."""

from __future__ import annotations

from collections.abc import Sequence
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
from edgepack.report.parts import page, section, table
from edgepack.report.schema import Layer, RunReport
from edgepack.report.several import Line, overview


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


def _overview(reports: Sequence[RunReport]) -> str:
    shown = overview(
        [Line(r.target.id, r, r.failure.error if r.failure is not None else None) for r in reports]
    )
    body = table(shown.titles, shown.rows, right=shown.right)
    return f"<h1>{len(reports)} runs</h1>\n{body}"


def _run(report: RunReport) -> str:
    sections = [
        _head(report),
        section("Speed", _speed(report)),
        section("Phone", _phone(report)),
        section("Memory", table(["", "bytes"], size_rows(report), right={1})),
        section("Layers", _layers(report.layers)),
        section("Operators, profiled in a run of their own", _operators(report)),
        section("How it was made", table(["", ""], _provenance(report), right=set())),
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
    return table(["", f"device: {report.target.id}", host], rows, right={1, 2})


def _phone(report: RunReport) -> str:
    """How the phone measured, in which state, and what to distrust."""
    phone = report.phone
    if phone is None:
        return ""
    rows = [("program", phone.program), ("SoC", phone.soc), ("serial", phone.serial)]
    rows += [("flags", " ".join(phone.flags))] if phone.flags else []
    lines = [f"<p>{escape(text)}</p>" for text in phone_lines(report)]
    lines += [f'<p class="bad">warning: {escape(text)}</p>' for text in phone.warnings]
    return "\n".join((table(("", ""), rows, right=set()), *lines))


def _operators(report: RunReport) -> str:
    ops = () if report.phone is None else report.phone.ops
    rows = [(op.op, op.name, microseconds(op.average_us), str(op.calls)) for op in ops]
    return table(("op", "name", "mean", "calls"), rows, right={2, 3})


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
