"""LSTM, GRU and RNN with the batch first (`layout` 1), which ONNX Runtime does not run."""

from __future__ import annotations

from edgepack.convert.onnx_parts.parts import Parts

# batch, directions, hidden <-> directions, batch, hidden
_STATE = [1, 0, 2]
# sequence, directions, batch, hidden -> batch, sequence, directions, hidden
_SEQUENCE = [2, 0, 1, 3]


def batch_first(p: Parts) -> bool:
    """The same with the sequence first, between transpositions."""
    if not p.attributes.get("layout", 0):
        return False
    attributes = {name: value for name, value in p.attributes.items() if name != "layout"}
    inputs = list(p.inputs)
    for position in (0, 5, 6):
        if p.has(position):
            inputs[position] = p.node("Transpose", inputs[position], perm=_STATE)
    outputs = [f"{name}/sequence_first" if name else "" for name in p.outputs]
    p.several(p.operator, inputs, outputs, **attributes)
    for position, name in enumerate(p.outputs):
        if name:
            order = _SEQUENCE if position == 0 else _STATE
            p.node("Transpose", outputs[position], output=name, perm=order)
    return True
