"""Initializers of the kernels' params structs, as C99 and C++ compilers both take them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from edgepack.emit.c_text import literal
from edgepack.emit.sharing import SharedParams
from edgepack.ops.shared.kernel import FieldValue, Params


def struct_initializer(params: Params) -> str:
    """Designated initializers; a dotted name reaches into a nested struct."""
    return _designated((name, _field(value)) for name, value in params.fields)


def mixed_initializer(params: SharedParams, table: str) -> str:
    """Initializers that are constants where all layers agree and read the table elsewhere."""
    at = {name: f"{table}[{i}]" for i, name in enumerate(params.varying)}
    return _designated(
        (name, _from_table(value, at[name]) if name in at else _field(value))
        for name, value in params.fields
    )


def _designated(fields: Iterable[tuple[str, str]]) -> str:
    """`.a = 1, .b = {.c = 2}`: C++ has no `.b.c = 2`."""
    parts: list[str] = []
    for (outer, nested), group in groupby(
        fields, key=lambda field: (field[0].partition(".")[0], "." in field[0])
    ):
        if nested:
            inner = _designated((name.partition(".")[2], text) for name, text in group)
            parts.append(f".{outer} = {{{inner}}}")
        else:
            parts += [f".{name} = {text}" for name, text in group]
    return ", ".join(parts)


def _from_table(value: FieldValue, expression: str) -> str:
    return f"{expression} != 0" if isinstance(value, bool) else expression


def _field(value: FieldValue) -> str:
    if isinstance(value, tuple):
        return "{" + ", ".join(literal(v) for v in value) + "}"
    return literal(value)
