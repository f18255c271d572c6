"""The source's names of inputs and outputs in a `.tflite`, and its one signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepack.convert.flatbuffer import read_model, write_model

KEY = b"serving_default"


def with_signature(data: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Add a signature to a model that has none, and give its tensors the same names.

    Args:
        data: a `.tflite` whose inputs and outputs are in the source's order.
        inputs: the source's names of the inputs.
        outputs: the same of the outputs.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    if model.signatureDefs:
        return data
    main = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = KEY
    signature.subgraphIndex = 0
    signature.inputs = _entries(inputs, main.inputs)
    signature.outputs = _entries(outputs, main.outputs)
    model.signatureDefs = [signature]
    # inputs last: an output that is an input keeps the input's name
    for names, indices in ((outputs, main.outputs), (inputs, main.inputs)):
        for name, index in zip(names, indices, strict=True):
            main.tensors[int(index)].name = name.encode()
    return write_model(model)


def _entries(names: Sequence[str], indices: Any) -> list[Any]:
    from ai_edge_litert import schema_py_generated as schema

    entries = []
    for name, index in zip(names, indices, strict=True):
        entry = schema.TensorMapT()
        entry.name = name.encode()
        entry.tensorIndex = int(index)
        entries.append(entry)
    return entries
