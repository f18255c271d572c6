"""GELU from its parts -> one GELU operator (Hendrycks and Gimpel 2016).

0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), as frameworks write it out.
"""

from __future__ import annotations

import math
from typing import Any

from edgepack.convert.rewrites.editor import Editor
from edgepack.convert.rewrites.product import product

_SLOPE = math.sqrt(2.0 / math.pi)
_CUBE = 0.044715
_NEAR = 1e-4  # constants are written with four or more digits


def apply(editor: Editor) -> int:
    """Rewrite the tanh form where nothing else reads its parts."""
    count = 0
    for site in editor.sites("MUL"):
        found = product(editor, site)
        if found is None or len(found.terms) != 2 or abs(found.factor - 0.5) > _NEAR:
            continue
        for x, other in (found.terms, found.terms[::-1]):
            curve = editor.plus(found.graph, other, 1.0)
            maker = None if curve is None else editor.producer(found.graph, curve)
            if maker is None or editor.name(maker.operator) != "TANH":
                continue
            if not _argument(editor, found.graph, editor.inputs(maker)[0], x):
                continue
            from ai_edge_litert import schema_py_generated as schema

            options = schema.GeluOptionsT()
            options.approximate = True
            made = editor.operator("GELU", [x], editor.outputs(site), options)
            editor.replace(site, made)
            count += 1
            break
    return count


def _argument(editor: Editor, graph: Any, tensor: int, x: int) -> bool:
    """Whether a tensor is sqrt(2/pi) (x + 0.044715 x^3)."""
    maker = editor.producer(graph, tensor)
    outer = (
        None if maker is None or editor.name(maker.operator) != "MUL" else product(editor, maker)
    )
    if outer is None or len(outer.terms) != 1 or abs(outer.factor - _SLOPE) > _NEAR:
        return False
    inside = editor.producer(graph, outer.terms[0])
    if inside is None or editor.name(inside.operator) != "ADD":
        return False
    for linear, cubic in (editor.inputs(inside), editor.inputs(inside)[::-1]):
        if linear == x and _is_cube(editor, graph, cubic, x):
            return True
    return False


def _is_cube(editor: Editor, graph: Any, tensor: int, x: int) -> bool:
    """Whether a tensor is 0.044715 x^3, by products or POW."""
    maker = editor.producer(graph, tensor)
    if maker is None or editor.name(maker.operator) != "MUL":
        return False
    found = product(editor, maker)
    if found is None or abs(found.factor - _CUBE) > _NEAR:
        return False
    if found.terms == (x, x, x):
        return True
    power = 0
    for term in found.terms:
        if term == x:
            power += 1
            continue
        made = editor.producer(graph, term)
        if made is None or editor.inputs(made)[0] != x:
            return False
        name = editor.name(made.operator)
        if name == "SQUARE":
            power += 2
        elif name == "POW" and editor.scalar(graph, editor.inputs(made)[1]) == 3.0:
            power += 3
        else:
            return False
    return power == 3
