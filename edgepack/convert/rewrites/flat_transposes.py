"""TRANSPOSE, RESHAPE, TRANSPOSE that leave every value in its place -> one RESHAPE.

What is left where an image, channels last by now, becomes a sequence of pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor, Site

_MAX_ELEMENTS = 1 << 24  # whose places are computed here


def apply(editor: Editor) -> int:
    """Replace every such chain."""
    return sum(_replace(editor, site) for site in editor.sites("TRANSPOSE"))


def _replace(editor: Editor, last: Site) -> int:
    from ai_edge_litert import schema_py_generated as schema

    graph = last.graph
    middle = _before(editor, last, "RESHAPE")
    first = None if middle is None else _before(editor, middle, "TRANSPOSE")
    if middle is None or first is None:
        return 0
    source, target = editor.inputs(first)[0], editor.outputs(last)[0]
    orders = [editor.constant(graph, editor.inputs(site)[1]) for site in (first, last)]
    shape = editor.shape(graph, source)
    if orders[0] is None or orders[1] is None or np.prod(shape) > _MAX_ELEMENTS:
        return 0
    places = np.arange(int(np.prod(shape))).reshape(shape).transpose(orders[0])
    moved = places.reshape(editor.shape(graph, editor.outputs(middle)[0])).transpose(orders[1])
    if not np.array_equal(moved.reshape(-1), np.arange(moved.size)):
        return 0
    made = np.array(editor.shape(graph, target), np.int32)
    vector = editor.add_constant(graph, made, "shape")
    options: Any = schema.ReshapeOptionsT()
    options.newShape = made
    editor.replace(last, editor.operator("RESHAPE", [source, vector], [target], options))
    return 1


def _before(editor: Editor, site: Site, name: str) -> Site | None:
    """The operator of this name that makes the first input of another."""
    maker = editor.producer(site.graph, editor.inputs(site)[0])
    return maker if maker is not None and editor.name(maker.operator) == name else None
