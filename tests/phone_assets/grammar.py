"""Whether tree-sitter's grammars of Kotlin, Swift and Dart take a file."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

GRAMMARS = {
    ".kt": "tree_sitter_kotlin",
    ".kts": "tree_sitter_kotlin",
    ".swift": "tree_sitter_swift",
    ".dart": "tree_sitter_dart",
}


@cache
def _parser(suffix: str) -> Any:
    tree_sitter = pytest.importorskip("tree_sitter", reason="pip install -e .[dev]")
    grammar = importlib.import_module(GRAMMARS[suffix])
    return tree_sitter.Parser(tree_sitter.Language(grammar.language()))


def parse(source: bytes, suffix: str) -> Any:
    """The root of the tree."""
    return _parser(suffix).parse(source).root_node


def problems(source: bytes, suffix: str) -> list[str]:
    """Where the grammar finds an error or misses something."""
    found, queue = [], [parse(source, suffix)]
    while queue:
        node = queue.pop()
        if node.type == "ERROR" or node.is_missing:
            text = source[node.start_byte : node.end_byte][:60]
            found.append(f"line {node.start_point[0] + 1}: {text!r}")
        queue += node.children
    return found


def sources(folder: Path) -> list[Path]:
    """The files of a generated module that there is a grammar for."""
    return sorted(p for p in folder.rglob("*") if p.suffix in GRAMMARS)
