"""TRANSPOSE operators that nothing needs.

Two in a row become one or none; one in front of RESHAPE and a dense layer moves into its weights
(the products stay the same, the order of the additions changes).
"""

from __future__ import annotations

import numpy as np

from edgepack.convert.rewrites.editor import Editor, Site


def apply(editor: Editor) -> int:
    """Remove what can be removed."""
    count = 0
    for site in editor.sites("TRANSPOSE"):
        count += _without_moving(editor, site) or _joined(editor, site) or _dense(editor, site)
    return count


def _order(editor: Editor, site: Site) -> list[int] | None:
    value = editor.constant(site.graph, editor.inputs(site)[1])
    return None if value is None else [int(axis) for axis in value.reshape(-1)]


def _without_moving(editor: Editor, site: Site) -> int:
    """A TRANSPOSE that moves no byte, as all sizes that change places are 1, is a RESHAPE."""
    from ai_edge_litert import schema_py_generated as schema

    order = _order(editor, site)
    source, output = editor.inputs(site)[0], editor.outputs(site)[0]
    if order is None:
        return 0
    sizes = editor.shape(site.graph, source)
    kept = [axis for axis in order if sizes[axis] != 1]
    if kept != sorted(kept):
        return 0
    options = schema.ReshapeOptionsT()
    options.newShape = np.array([sizes[axis] for axis in order], np.int32)
    vector = editor.add_constant(site.graph, options.newShape, "shape")
    editor.replace(site, editor.operator("RESHAPE", [source, vector], [output], options))
    return 1


def _joined(editor: Editor, site: Site) -> int:
    """The second of two reads what the first read; the first may go then."""
    order = _order(editor, site)
    before = editor.producer(site.graph, editor.inputs(site)[0])
    if order is None or before is None or editor.name(before.operator) != "TRANSPOSE":
        return 0
    first = _order(editor, before)
    if first is None:
        return 0
    both = [first[axis] for axis in order]
    source, output = editor.inputs(before)[0], editor.outputs(site)[0]
    ends = [int(i) for i in site.graph.outputs]
    if both == sorted(both) and output not in ends:
        for user in editor.consumers(site.graph, output):
            user.operator.inputs = np.array(
                [source if i == output else i for i in editor.inputs(user)], np.int32
            )
        editor.remove(site)
        return 1
    vector = editor.add_constant(site.graph, np.array(both, np.int32), "order")
    site.operator.inputs = np.array([source, vector], np.int32)
    return 1


def _dense(editor: Editor, site: Site) -> int:
    """TRANSPOSE, RESHAPE to one row, FULLY_CONNECTED: the weights take the other order."""
    order, graph = _order(editor, site), site.graph
    source, output = editor.inputs(site)[0], editor.outputs(site)[0]
    reshape = editor.only_consumer(graph, output)
    if order is None or reshape is None or editor.name(reshape.operator) != "RESHAPE":
        return 0
    row = editor.outputs(reshape)[0]
    layer = editor.only_consumer(graph, row)
    if layer is None or editor.name(layer.operator) != "FULLY_CONNECTED":
        return 0
    weights = editor.constant(graph, editor.inputs(layer)[1])
    shape = editor.shape(graph, output)
    # one row: what is behind the batch is the row
    if weights is None or order[0] != 0 or editor.shape(graph, row) != (shape[0], weights.shape[1]):
        return 0
    if editor.inputs(layer)[0] != row or weights.dtype not in (np.float32, np.int8):
        return 0
    columns = np.arange(weights.shape[1]).reshape(shape[1:])
    inverse = np.argsort([axis - 1 for axis in order[1:]])
    moved = np.ascontiguousarray(weights[:, columns.transpose(inverse).reshape(-1)])
    label = editor.tensor_name(graph, editor.inputs(layer)[1])
    made = editor.add_constant(graph, moved, label)
    graph.tensors[made].quantization = graph.tensors[editor.inputs(layer)[1]].quantization
    inputs = editor.inputs(layer)
    layer.operator.inputs = np.array([inputs[0], made, *inputs[2:]], np.int32)
    reshape.operator.inputs = np.array([source, *editor.inputs(reshape)[1:]], np.int32)
    editor.remove(site)
    return 1
