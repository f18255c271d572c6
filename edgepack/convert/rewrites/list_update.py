"""`list[i] = item` in a loop -> DYNAMIC_UPDATE_SLICE.

Recurrent layers that return sequences convert to a concatenation of the rows before i, the item and
the rows after it. The two slices have a size that is only known at run time; TensorFlow Lite Micro
plans its memory before, and computes something else. Exact for indices within the list.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor, Site


def apply(editor: Editor) -> int:
    """Replace every such concatenation."""
    return sum(_replace(editor, site) for site in editor.sites("CONCATENATION"))


def _replace(editor: Editor, site: Site) -> int:
    graph, inputs = site.graph, editor.inputs(site)
    if len(inputs) != 3:
        return 0
    before, item, after = inputs
    first, last = _slice(editor, graph, before), _slice(editor, graph, after)
    if first is None or last is None:
        return 0
    rows, begin, size = editor.inputs(first)
    other, following, rest = editor.inputs(last)
    vector = _starts_with(editor, graph, size, -1)
    after_it = _starts_with(editor, graph, following, 0)
    if vector is None or after_it is None:
        return 0
    shape, options = editor.shape(graph, rows), site.operator.builtinOptions
    fits = (
        rows == other
        and options.axis in (0, -len(shape))
        and not options.fusedActivationFunction
        and editor.shape(graph, editor.outputs(site)[0]) == shape
        and editor.shape(graph, item) == (1, *shape[1:])
        and _all(editor, graph, begin, 0)
        and _all(editor, graph, rest, -1)
        and _is_next(editor, graph, editor.inputs(vector)[0], editor.inputs(after_it)[0])
    )
    if not fits:
        return 0
    start = editor.add_tensor(graph, (len(shape),), following, "begin")
    index = editor.inputs(vector)[0]
    made = copy.copy(after_it.operator)  # the vector [i + 1, 0, ...] with i in its place
    made.inputs = np.array([index, *editor.inputs(after_it)[1:]], np.int32)
    made.outputs = np.array([start], np.int32)
    update = editor.operator("DYNAMIC_UPDATE_SLICE", [rows, item, start], editor.outputs(site))
    editor.replace(site, made, update)
    return 1


def _slice(editor: Editor, graph: Any, tensor: int) -> Site | None:
    """The SLICE that makes a tensor which nothing else reads."""
    maker = editor.producer(graph, tensor)
    if maker is None or editor.name(maker.operator) != "SLICE":
        return None
    return None if editor.only_consumer(graph, tensor) is None else maker


def _starts_with(editor: Editor, graph: Any, tensor: int, rest: int) -> Site | None:
    """The CONCATENATION that makes a vector of one computed element and others all `rest`."""
    maker = editor.producer(graph, tensor)
    if maker is None or editor.name(maker.operator) != "CONCATENATION":
        return None
    inputs = editor.inputs(maker)
    if len(inputs) != 2 or not _all(editor, graph, inputs[1], rest):
        return None
    return maker if editor.shape(graph, inputs[0]) in ((), (1,)) else None


def _all(editor: Editor, graph: Any, tensor: int, value: int) -> bool:
    data = editor.constant(graph, tensor)
    return data is not None and bool((data == value).all())


def _is_next(editor: Editor, graph: Any, index: int, following: int) -> bool:
    """Whether `following` is `index` plus one; both may have been reshaped."""
    maker = editor.producer(graph, _source(editor, graph, following))
    if maker is None or editor.name(maker.operator) != "ADD":
        return False
    index = _source(editor, graph, index)
    left, right = editor.inputs(maker)
    return any(
        _source(editor, graph, a) == index and _all(editor, graph, b, 1)
        for a, b in ((left, right), (right, left))
    )


def _source(editor: Editor, graph: Any, tensor: int) -> int:
    maker = editor.producer(graph, tensor)
    while maker is not None and editor.name(maker.operator) == "RESHAPE":
        tensor = editor.inputs(maker)[0]
        maker = editor.producer(graph, tensor)
    return tensor
