"""Proof that a `.tflite` file is full-integer: every dtype in it is read again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.errors import ConversionError
from edgepack.models.tflite_file import operator_name, parse_tflite, read_tflite, text, type_name
from edgepack.quantize.plan import Plan

# What the tensors of a full-integer int8 model may hold: values and weights, biases and shapes,
# conditions, and the handles of state variables.
INT8_TYPES = frozenset({"INT8", "INT4", "INT32", "INT64", "BOOL", "RESOURCE"})
_FLOATS = ("FLOAT32", "FLOAT16")
_SHOWN = 8


@dataclass(frozen=True)
class Finding:
    """One thing that a full-integer model must not hold."""

    op: str
    tensor: str
    problem: str

    def __str__(self) -> str:
        return f"{self.op}: {self.tensor!r} {self.problem}"


def check_full_integer(path: Path) -> tuple[str, ...]:
    """Demand that a `.tflite` file is int8 from input to output and runs at batch 1.

    Returns:
        The names of the operators in it, each once, sorted.

    Raises:
        ModelError: the file is damaged.
        ConversionError: a tensor is of a type that integer kernels do not take, a shape is open, or
            an operator is not a built-in one; every case is named with operator and tensor.
    """
    model = read_tflite(path)
    findings = [*_type_findings(model), *_interface_findings(model)]
    names = {
        operator_name(model, operator)
        for graph in model.subgraphs
        for operator in graph.operators or []
    }
    findings += [
        Finding(name, "", "is no built-in operator") for name in names if name.startswith("CUSTOM")
    ]
    if findings:
        lines = [f"  {finding}" for finding in findings[:_SHOWN]]
        if len(findings) > _SHOWN:
            lines.append(f"  ... and {len(findings) - _SHOWN} more")
        raise ConversionError(
            "the converted model is not full-integer int8:\n" + "\n".join(lines),
            allowed=", ".join(sorted(INT8_TYPES)),
            next_step="replace the layers that these operators come from",
        )
    return tuple(sorted(names))


def _type_findings(model: Any) -> list[Finding]:
    """Tensors of a wrong type, each named with the first operator that touches it."""
    findings = []
    for graph in model.subgraphs:
        users: dict[int, str] = {}
        for operator in graph.operators or []:
            for index in [*_indices(operator.outputs), *_indices(operator.inputs)]:
                users.setdefault(index, operator_name(model, operator))
        for index, tensor in enumerate(graph.tensors or []):
            dtype = type_name(tensor.type)
            if dtype not in INT8_TYPES:
                user = users.get(index, "no operator")
                findings.append(Finding(user, text(tensor.name), f"is {dtype}"))
    return findings


def _interface_findings(model: Any) -> list[Finding]:
    main = model.subgraphs[0]
    findings = []
    for kind, indices in (("input", main.inputs), ("output", main.outputs)):
        for index in _indices(indices):
            tensor = main.tensors[index]
            name, dtype = text(tensor.name), type_name(tensor.type)
            if dtype != "INT8":
                findings.append(Finding(kind, name, f"is {dtype}, not INT8"))
            signature = [int(size) for size in _indices(tensor.shapeSignature)]
            shape = [int(size) for size in _indices(tensor.shape)]
            if -1 in signature or not shape or shape[0] != 1:
                findings.append(Finding(kind, name, f"has shape {signature or shape}"))
    return findings


def _indices(values: Any) -> list[int]:
    """A vector of the flatbuffer, which may be absent, as a list."""
    return [] if values is None else [int(value) for value in values]


def check_quantized(data: bytes, plan: Plan | None, io: str | None) -> dict[str, int]:
    """Demand that no operator computes in float that was to compute in integers.

    Args:
        data: the result.
        plan: that it was made from; None for schemes that keep activations in float.
        io: type that the user chose for inputs and outputs.

    Returns:
        How many tensors there are of each type.

    Raises:
        ConversionError: an operator with floats that no rule asked for.
    """
    model = parse_tflite(data, "the quantized model")
    counts: dict[str, int] = {}
    wanted = set() if plan is None else _float_operators(plan)
    findings = []
    for graph in model.subgraphs:
        for tensor in graph.tensors or []:
            dtype = type_name(tensor.type)
            counts[dtype] = counts.get(dtype, 0) + 1
        for operator in graph.operators or []:
            name = operator_name(model, operator)
            if plan is None or name in ("QUANTIZE", "DEQUANTIZE"):
                continue
            used = [i for i in (*_indices(operator.inputs), *_indices(operator.outputs)) if i >= 0]
            floats = [i for i in used if type_name(graph.tensors[i].type) in _FLOATS]
            outputs = [text(graph.tensors[i].name) for i in _indices(operator.outputs)]
            if floats and (name, outputs[0]) not in wanted:
                tensor = graph.tensors[floats[0]]
                findings.append(Finding(name, text(tensor.name), f"is {type_name(tensor.type)}"))
    if findings:
        lines = "\n".join(f"  {finding}" for finding in findings[:_SHOWN])
        raise ConversionError(
            f"{len(findings)} operators of the quantized model compute in float, which no rule "
            f"asked for:\n{lines}"
        )
    if plan is not None and not wanted and io != "float32":
        _check_ends(model)
    return dict(sorted(counts.items()))


def _check_ends(model: Any) -> None:
    main = model.subgraphs[0]
    for kind, indices in (("input", main.inputs), ("output", main.outputs)):
        for index in _indices(indices):
            tensor = main.tensors[index]
            if type_name(tensor.type) in _FLOATS:
                finding = Finding(kind, text(tensor.name), f"is {type_name(tensor.type)}")
                raise ConversionError(f"of the quantized model, {finding}")


def _float_operators(plan: Plan) -> set[tuple[str, str]]:
    return {name for key, name in plan.names.items() if plan.schemes[key].is_float}
