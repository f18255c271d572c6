"""Operators that are raised to another scheme together: one that computes, and what only moves its
output on (pooling, reshaping), so that the values stay in one type up to the next computation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgepack.convert.rewrites.editor import Editor
from edgepack.errors import UnsupportedError
from edgepack.quantize.calibrated import Calibrated
from edgepack.quantize.plan import OpKey, Plan
from edgepack.quantize.policy import WEIGHTED, Kind, kind_of
from edgepack.quantize.ptq import PtqOptions, PtqResult, quantize
from edgepack.quantize.rules import Rule


@dataclass(frozen=True)
class Unit:
    """A computing operator and its followers.

    Attributes:
        name: of its output.
        op: TFLite's name.
        scheme: that it has now.
        followers: outputs of the operators that move its output on.
        macs: multiply-accumulates of an inference; outputs where it has no weights.
    """

    name: str
    op: str
    scheme: str
    followers: tuple[str, ...]
    macs: int


def computes(op: str) -> bool:
    """Whether an operator makes new values, so that quantizing it alone makes an error."""
    return kind_of(op) in (Kind.WEIGHTED, Kind.FREE, Kind.FIXED, Kind.LSTM, Kind.SVDF)


def units(model: Any, plan: Plan) -> list[Unit]:
    """The computing operators of the main graph in order."""
    editor, graph = Editor(model), model.subgraphs[0]
    owner: dict[int, OpKey] = {}
    followers: dict[OpKey, list[str]] = {}
    for key, (op, name) in plan.names.items():
        if key[0] != 0:
            continue
        operator = graph.operators[key[1]]
        output = int(operator.outputs[0])
        if computes(op):
            followers[key] = []
            owner[output] = key
            continue
        makers = {owner[int(i)] for i in operator.inputs if int(i) in owner}
        if kind_of(op) is Kind.SAME and len(makers) == 1:
            (maker,) = makers
            followers[maker].append(name)
            owner[output] = maker
    found = []
    for key, listed in followers.items():
        op, name = plan.names[key]
        macs = _macs(editor, graph, graph.operators[key[1]], op)
        found.append(Unit(name, op, plan.schemes[key].name, tuple(listed), macs))
    return found


def _macs(editor: Editor, graph: Any, operator: Any, op: str) -> int:
    outputs = int(np.prod(editor.shape(graph, int(operator.outputs[0]))))
    if op not in WEIGHTED:
        return outputs
    shape = editor.shape(graph, int(operator.inputs[WEIGHTED[op].weights]))
    return outputs * int(np.prod(shape)) // max(1, shape[WEIGHTED[op].axis])


def only(name: str, scheme: str) -> Rule:
    """A rule about the operator with this output alone."""
    return Rule(scheme, scope=f"^{re.escape(name)}$")


def raised(
    calibrated: Calibrated, options: PtqOptions, chosen: Sequence[tuple[Unit, str]]
) -> tuple[PtqOptions, PtqResult]:
    """The model with units at other schemes.

    A follower without a kernel in its unit's scheme stays as it is.

    Raises:
        UnsupportedError: a computing operator has no kernel in the scheme.
    """
    heads = [only(unit.name, scheme) for unit, scheme in chosen]
    tails = [only(name, scheme) for unit, scheme in chosen for name in unit.followers]
    whole = replace(options, rules=options.rules.plus(*heads, *tails))
    try:
        return whole, quantize(calibrated, whole)
    except UnsupportedError:
        if not tails:
            raise
        bare = replace(options, rules=options.rules.plus(*heads))
        return bare, quantize(calibrated, bare)
