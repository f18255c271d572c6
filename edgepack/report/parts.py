"""Pieces of HTML pages that need nothing from the network: everything given as text is escaped."""

from __future__ import annotations

from collections.abc import Sequence, Set
from html import escape

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


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of parts that are HTML already; without script and link."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def section(title: str, body: str) -> str:
    """A body, HTML already, under a heading; nothing where the body is empty."""
    return f"<h2>{escape(title)}</h2>\n{body}" if body else ""


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Set[int]) -> str:
    """A table of plain text; columns in `right` are flush right. Nothing without rows."""
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
