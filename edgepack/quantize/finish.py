"""The last steps of writing a quantized model: nothing unused in it, versions for its types."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor
from edgepack.models.tflite_file import type_name
from edgepack.quantize.versions import operator_version


def drop_unused(model: Any) -> None:
    """Remove tensors, and then buffers, that nothing names any more."""
    for graph in model.subgraphs:
        used = {
            int(i)
            for o in graph.operators
            for group in (o.inputs, o.outputs, o.intermediates)
            for i in ([] if group is None else group)
            if i >= 0
        }
        used |= {int(i) for i in (*graph.inputs, *graph.outputs)}
        order = [i for i in range(len(graph.tensors)) if i in used]
        place = {old: new for new, old in enumerate(order)}
        graph.tensors = [graph.tensors[i] for i in order]
        for o in graph.operators:
            o.inputs, o.outputs = _moved(o.inputs, place), _moved(o.outputs, place)
            if o.intermediates is not None:
                o.intermediates = _moved(o.intermediates, place)
        graph.inputs, graph.outputs = _moved(graph.inputs, place), _moved(graph.outputs, place)
        if graph is model.subgraphs[0]:
            for signature in model.signatureDefs or []:
                for entry in (*(signature.inputs or []), *(signature.outputs or [])):
                    entry.tensorIndex = place[entry.tensorIndex]
    _drop_buffers(model)


def _drop_buffers(model: Any) -> None:
    """Remove buffers without a reader; number 0 stays the empty one."""
    owners: list[Any] = [t for g in model.subgraphs for t in g.tensors]
    owners += list(model.metadata or [])
    used = {0} | {owner.buffer for owner in owners}
    order = [i for i in range(len(model.buffers)) if i in used]
    place = {old: new for new, old in enumerate(order)}
    model.buffers = [model.buffers[i] for i in order]
    for owner in owners:
        owner.buffer = place[owner.buffer]


def _moved(values: Any, place: dict[int, int]) -> Any:
    return np.array([place[int(i)] if i >= 0 else -1 for i in values], np.int32)


def set_versions(editor: Editor) -> None:
    """Give every operator the version that its types need, and drop codes that none uses."""
    for graph in editor.model.subgraphs:

        def kind(tensor: int, graph: Any = graph) -> str | None:
            return None if tensor < 0 else type_name(graph.tensors[tensor].type)

        for operator in graph.operators:
            op = editor.name(operator)
            if op.startswith("CUSTOM"):
                continue
            old = editor.model.operatorCodes[operator.opcodeIndex].version
            types = [kind(int(i)) for i in operator.inputs]
            made = [kind(int(i)) or "" for i in operator.outputs]
            options = vars(operator.builtinOptions) if operator.builtinOptions else {}
            version = max(old, operator_version(op, types, made, options))
            operator.opcodeIndex = _code(editor.model, op, version)
    operators = [o for g in editor.model.subgraphs for o in g.operators]
    order = sorted({o.opcodeIndex for o in operators})
    place = {old: new for new, old in enumerate(order)}
    editor.model.operatorCodes = [editor.model.operatorCodes[i] for i in order]
    for operator in operators:
        operator.opcodeIndex = place[operator.opcodeIndex]


def _code(model: Any, op: str, version: int) -> int:
    from ai_edge_litert import schema_py_generated as schema

    value = getattr(schema.BuiltinOperator, op)
    for index, code in enumerate(model.operatorCodes):
        known = max(code.builtinCode, code.deprecatedBuiltinCode)
        if known == value and code.version == version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = value, min(value, 127)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
