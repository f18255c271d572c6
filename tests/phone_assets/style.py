"""A lint of generated Kotlin, Swift and Dart on the trees of tree-sitter's grammars.

Layout, names and what nobody uses. Kotlin is held against ktlint as well (test_kotlin.py); of Swift
and Dart no linter can be had without Apple's or Google's tools.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.phone_assets.grammar import parse

LONGEST_LINE = 140
_TYPES = {"class_declaration", "object_declaration", "enum_declaration", "class_definition"}
_FUNCTIONS = {"function_declaration", "function_signature"}
_VALUES = {
    *("variable_declaration", "class_parameter", "parameter", "lambda_parameter"),
    *("property_declaration", "initialized_variable_definition", "initialized_identifier"),
    "formal_parameter",
}
_NAMES = {"identifier", "simple_identifier", "type_identifier", "identifier_dollar_escaped"}
_BODIES = {"function_body", "block", "statements"}
_UPPER = re.compile(r"[A-Z][A-Za-z0-9]*")
_LOWER = re.compile(r"_?[a-z][A-Za-z0-9]*|[A-Z][A-Z0-9_]*|_")


def complaints(source: bytes, suffix: str) -> list[str]:
    """What a reviewer of a source file would find fault with."""
    root = parse(source, suffix)
    text = source.decode()
    return [*_layout(text), *_names(root), *_unused(root, _words(text))]


def _words(text: str) -> Counter[str]:
    """How often each word stands in the code, also within its string templates."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    return Counter(re.findall(r"\w+", code))


def _layout(text: str) -> Iterator[str]:
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield "does not end with one line end"
    if "\n\n\n" in text:
        yield "two empty lines in a row"
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r"([\"'])(?:\\.|(?!\1).)*\1|//.*|/\*.*|^ \*.*", '""', line)
        if "\t" in line or line != line.rstrip():
            yield f"line {number}: a tab or blanks at the end"
        if len(code) > LONGEST_LINE:
            yield f"line {number}: {len(code)} characters"
        if re.search(r"[(\[] |\S [)\],;]|,\S|, +[)}\]]", code):
            yield f"line {number}: blanks around brackets or commas: {line.strip()[:60]}"


def _names(root: Any) -> Iterator[str]:
    for node in _walk(root):
        name = _name(node)
        if name is None:
            continue
        if node.type in _TYPES and not _UPPER.fullmatch(name):
            yield f"line {_line(node)}: the type {name} is not UpperCamelCase"
        if node.type in _FUNCTIONS | _VALUES and not _LOWER.fullmatch(name):
            yield f"line {_line(node)}: {name} is not lowerCamelCase"


def _unused(root: Any, seen: Counter[str]) -> Iterator[str]:
    for node in _walk(root):
        if node.type == "import" and node.is_named:
            imported = _text(node).rpartition(".")[2]
            if seen[imported] < 2:
                yield f"line {_line(node)}: the import {imported} is used nowhere"
        name = _name(node)
        if name is not None and _is_own(node, name) and seen[name] < 2:
            yield f"line {_line(node)}: {name} is used nowhere"


def _is_own(node: Any, name: str) -> bool:
    """Whether nobody outside the file or the function can use it."""
    private = name.startswith("_") or any(
        child.type == "modifiers" and "private" in _text(child).split() for child in node.children
    )
    parent = node.parent
    if parent is not None and parent.type == "property_declaration":
        return _is_own(parent, name)
    within = parent is not None and parent.type in _BODIES | {"local_variable_declaration"}
    return name != "_" and (private or within)


def _name(node: Any) -> str | None:
    if node.type not in _TYPES | _FUNCTIONS | _VALUES:
        return None
    named = node.child_by_field_name("name")
    if named is None and node.type != "property_declaration":  # Kotlin's holds another declaration
        named = next((c for c in node.children if c.type in _NAMES), None)
    name = None if named is None else _text(named)
    return name if name is None or re.fullmatch(r"\w+", name) else None  # Swift: (a, b)


def _walk(node: Any) -> Iterator[Any]:
    queue = [node]
    while queue:
        found = queue.pop()
        yield found
        queue += reversed(found.children)


def _text(node: Any) -> str:
    text: str = node.text.decode()
    return text


def _line(node: Any) -> int:
    return int(node.start_point[0]) + 1
