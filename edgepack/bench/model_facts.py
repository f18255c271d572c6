"""What an interpreter must be told about a `.tflite` file before it is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgepack.errors import ModelError

_STATEFUL_OPS = ("VAR_HANDLE", "CALL_ONCE", "CUSTOM")
_RESOURCE_TYPES = ("RESOURCE", "VARIANT", "STRING")


@dataclass(frozen=True)
class SubgraphFacts:
    """Tensor indices of one subgraph: its inputs, outputs, and what an invocation computes.

    `names`: of the tensors whose name no other tensor has, to their indices.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    computed: tuple[int, ...]
    names: dict[str, int]


@dataclass(frozen=True)
class ModelFacts:
    """`stateful`: an invocation leaves something behind that the next one reads."""

    subgraphs: tuple[SubgraphFacts, ...]
    stateful: bool


def model_facts(model: bytes) -> ModelFacts:
    """Read the facts of a model file.

    Raises:
        ModelError: it is no TFLite flatbuffer or its tables are damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    if len(model) < 8 or model[4:8] != b"TFL3":
        raise ModelError("this is no TFLite model: the identifier TFL3 is missing at byte 4")
    try:
        parsed = schema.ModelT.InitFromPackedBuf(model)
        subgraphs = tuple(_subgraph(schema, parsed, g) for g in parsed.subgraphs)
        names = {_op_name(schema, code) for code in parsed.operatorCodes}
        variables = any(t.isVariable for g in parsed.subgraphs for t in g.tensors)
    except Exception as error:  # the generated reader raises many kinds on damaged offsets
        raise ModelError(f"the TFLite model is damaged: {error}") from error
    if not subgraphs:
        raise ModelError("the TFLite model has no subgraph")
    return ModelFacts(subgraphs, variables or bool(names & set(_STATEFUL_OPS)))


def _subgraph(schema: Any, model: Any, graph: Any) -> SubgraphFacts:
    skipped = {getattr(schema.TensorType, name) for name in _RESOURCE_TYPES}
    made = {int(i) for op in _list(graph.operators) for i in _list(op.outputs) if i >= 0}
    made |= {i for i, t in enumerate(graph.tensors) if t.isVariable}
    made |= {int(i) for i in _list(graph.inputs)}
    computed = (
        i
        for i in sorted(made)
        if graph.tensors[i].type not in skipped and not _is_constant(model, graph.tensors[i])
    )
    return SubgraphFacts(
        tuple(int(i) for i in _list(graph.inputs)),
        tuple(int(i) for i in _list(graph.outputs)),
        tuple(computed),
        _unique_names(graph),
    )


def _unique_names(graph: Any) -> dict[str, int]:
    names = [(t.name or b"").decode("utf-8", "replace") for t in graph.tensors]
    times = Counter(names)
    return {name: index for index, name in enumerate(names) if times[name] == 1}


def _is_constant(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _op_name(schema: Any, code: Any) -> str:
    value = max(code.builtinCode, code.deprecatedBuiltinCode)
    return next((n for n, v in vars(schema.BuiltinOperator).items() if v == value), str(value))


def _list(values: Sequence[int] | None) -> Sequence[Any]:
    return [] if values is None else values
