"""What a converted `.tflite` must not hold, and what is worth a warning."""

from __future__ import annotations

from typing import Any

from edgepack.convert.flatbuffer import read_model
from edgepack.errors import UnsupportedError
from edgepack.models.tflite_file import operator_name, text
from edgepack.ops.advice import advice

_DYNAMIC_LEFTOVERS = ("SHAPE", "PACK", "RANGE", "FILL", "BROADCAST_ARGS")


def check_result(data: bytes) -> list[str]:
    """Warnings about a converted model.

    Raises:
        UnsupportedError: a shape is open, or an operator is TensorFlow's own or a custom one; the
            message names the tensor that it makes, which carries the source layer's name.
    """
    model = read_model(data)
    foreign = []
    leftovers: dict[str, int] = {}
    for graph in model.subgraphs:
        for operator in graph.operators or []:
            name = operator_name(model, operator)
            if name.startswith("CUSTOM ("):
                foreign.append((name[len("CUSTOM (") : -1], _made_by(graph, operator)))
            elif name in _DYNAMIC_LEFTOVERS and name in ("SHAPE", "BROADCAST_ARGS"):
                leftovers[name] = leftovers.get(name, 0) + 1
    if foreign:
        names = "; ".join(f"{name} (makes {made})" for name, made in foreign[:8])
        raise UnsupportedError(
            f"the model needs operators that no runtime of edgepack has: {names}",
            next_step=advice(foreign[0][0]),
        )
    _check_static(model)
    return [
        f"{count} {name} operator{'s' if count > 1 else ''} computes shapes at run time, although "
        "all of them are fixed"
        for name, count in leftovers.items()
    ]


def _made_by(graph: Any, operator: Any) -> str:
    outputs = [] if operator.outputs is None else list(operator.outputs)
    return text(graph.tensors[outputs[0]].name) if outputs else "nothing"


def _check_static(model: Any) -> None:
    main = model.subgraphs[0]
    for kind, indices in (("input", main.inputs), ("output", main.outputs)):
        for index in [] if indices is None else indices:
            tensor = main.tensors[index]
            signature = tensor.shapeSignature
            sizes = [] if signature is None else [int(size) for size in signature]
            if -1 in sizes[1:]:
                shape = "x".join("?" if size < 0 else str(size) for size in sizes)
                raise UnsupportedError(
                    f"{kind} {text(tensor.name)} of the converted model has an open shape: {shape}",
                    allowed="fixed shapes: the memory is planned before the program runs",
                    next_step="edgepack convert MODEL -o model.tflite --input-shape NAME:1x...",
                )
