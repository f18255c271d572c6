"""C identifiers and literals, checked: nothing else turns a value into C source."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np

from edgepack.types import Array

_WIDTH = 100
# fmt: off
_KEYWORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
    "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
    "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef",
    "union", "unsigned", "void", "volatile", "while", "bool", "true", "false", "class", "new",
    "delete", "this", "template", "typename", "namespace", "private", "public", "protected",
    "virtual", "operator", "friend", "using", "try", "catch", "throw", "main",
))
# fmt: on

C_TYPES = {
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "float32": "float",
    "bool": "bool",
}


def identifier(text: str) -> str:
    """A C identifier made of `text`: other characters become `_`; never empty or a keyword."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "model"
    if name[0].isdigit() or name in _KEYWORDS:
        name = "m_" + name
    return name.lower()


def comment(text: str) -> str:
    """`text` so that it can stand inside a C comment on one line."""
    printable = "".join(c if 32 <= ord(c) < 127 else "?" for c in text)
    return printable.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def literal(value: float | int | bool | np.generic) -> str:
    """A C literal that reads back to the same value (floats: to the same float32)."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return _integer(int(value))
    return _float(float(value))


def _integer(value: int) -> str:
    if value == -(1 << 31):
        return "(-2147483647 - 1)"
    if value == -(1 << 63):
        return "(-9223372036854775807LL - 1)"
    if -(1 << 31) <= value < 1 << 31:
        return str(value)
    if value < 1 << 32 and value > 0:
        return f"{value}u"
    if -(1 << 63) <= value < 1 << 63:
        return f"{value}LL"
    raise ValueError(f"{value} does not fit a C integer")


def _float(value: float) -> str:
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = str(np.float32(value))
    if "." not in text and "e" not in text:
        text += ".0"
    return text + "f"


def initializer(values: Array) -> str:
    """The lines between the braces of an array initializer."""
    return _wrap(literal(v) for v in values.reshape(-1))


def _wrap(items: Iterable[str]) -> str:
    lines: list[str] = []
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item},"
    lines.append(line)
    return "\n".join(lines)


def c_type(array: Array) -> str:
    """The C element type of a constant array.

    Raises:
        KeyError: the dtype has no C type.
    """
    return C_TYPES[array.dtype.name]
