"""A chain of float multiplications as constants and terms, for rewrites that look for formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgepack.convert.rewrites.editor import Editor, Site

_MAX_DEPTH = 4


@dataclass(frozen=True)
class Product:
    """`factor` times the product of the tensors `terms`."""

    graph: Any
    factor: float
    terms: tuple[int, ...]


def product(editor: Editor, site: Site) -> Product | None:
    """What a MUL or DIV computes; None unless it is on floats and fuses no activation.

    MULs below it are taken in as long as nothing else reads their results.
    """
    return _product(editor, site, 0)


def _product(editor: Editor, site: Site, depth: int) -> Product | None:
    name = editor.name(site.operator)
    options = site.operator.builtinOptions
    if options is not None and options.fusedActivationFunction:
        return None
    left, right = editor.inputs(site)
    if not editor.is_float(site.graph, editor.outputs(site)[0]):
        return None
    if name == "DIV":
        divisor = editor.scalar(site.graph, right)
        if not divisor:
            return None
        inner = _term(editor, site.graph, left, depth)
        return Product(site.graph, inner.factor / divisor, inner.terms)
    a, b = (_term(editor, site.graph, tensor, depth) for tensor in (left, right))
    return Product(site.graph, a.factor * b.factor, (*a.terms, *b.terms))


def _term(editor: Editor, graph: Any, tensor: int, depth: int) -> Product:
    constant = editor.scalar(graph, tensor)
    if constant is not None:
        return Product(graph, constant, ())
    maker = editor.producer(graph, tensor)
    if (
        maker is not None
        and depth < _MAX_DEPTH
        and editor.name(maker.operator) in ("MUL", "DIV")
        and editor.only_consumer(graph, tensor) is not None
    ):
        found = _product(editor, maker, depth + 1)
        if found is not None:
            return found
    return Product(graph, 1.0, (tensor,))
