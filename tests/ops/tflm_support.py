"""What TFLM's interpreter runs: every case of the ladder is offered to it."""

from __future__ import annotations

from collections.abc import Iterable

from edgepack.frontends.tflite import load_tflite
from edgepack.ops.table import OPS
from edgepack.types import DType
from tests.ops.collection import Collected
from tests.oracles import InterpreterCrash, InterpreterRefusal, run_tflm

Support = dict[str, set[DType]]


def covered(cases: Iterable[Collected]) -> Support:
    """Op -> the types of its leading input in the cases."""
    found: Support = {}
    for collected in cases:
        _note(collected, found)
    return found


def measured(cases: Iterable[Collected]) -> Support:
    """Op -> the types of its leading input in the cases that TFLM runs to the end."""
    found: Support = {}
    for collected in cases:
        case = collected.case
        try:
            run_tflm(case.model, case.samples[0])
        except (InterpreterCrash, InterpreterRefusal):
            continue
        _note(collected, found)
    return found


def _note(collected: Collected, found: Support) -> None:
    for graph in load_tflite(collected.case.model, name="case").graphs:
        for node in graph.nodes:
            inputs, slot = graph.node_inputs(node), OPS[node.op].type_slot
            tensor = inputs[slot] if slot < len(inputs) else None
            types = found.setdefault(node.op, set())
            if tensor is not None:
                types.add(tensor.dtype)
