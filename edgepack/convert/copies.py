"""Outputs that nothing computes, as copies: a graph that gives back its input needs an operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.flatbuffer import write_model
from edgepack.convert.rewrites.editor import Editor


def with_copies(data: bytes) -> bytes:
    """A `.tflite` of a converter's in which no output is an input, nor alone in its graph.

    Other constants may be outputs: they need no operator.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    main = model.subgraphs[0]
    inputs = [] if main.inputs is None else [int(i) for i in main.inputs]
    outputs = [int(i) for i in main.outputs]
    is_empty = main.operators is None or len(main.operators) == 0
    copied = [i for i in dict.fromkeys(outputs) if i in inputs or is_empty]
    if not copied:
        return data
    main.operators = [] if main.operators is None else list(main.operators)
    model.operatorCodes = list(model.operatorCodes or [])
    editor = Editor(model)
    made = {tensor: _copy(editor, main, tensor) for tensor in copied}
    main.outputs = np.array([made.get(i, i) for i in outputs], np.int32)
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = made.get(entry.tensorIndex, entry.tensorIndex)
    return write_model(model)


def _copy(editor: Editor, graph: Any, tensor: int) -> int:
    from ai_edge_litert import schema_py_generated as schema

    shape = editor.shape(graph, tensor)
    made = editor.add_tensor(graph, shape, tensor, "copy")
    vector = editor.add_constant(graph, np.array(shape, np.int32), "shape")
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    graph.operators.append(editor.operator("RESHAPE", [tensor, vector], [made], options))
    return made
