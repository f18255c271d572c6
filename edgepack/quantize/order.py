"""Inputs and outputs of a converted model in the order of the Keras model.

TFLiteConverter may list them in another order than the Keras model does; which is which stands in
the file's SignatureDef. With two inputs of one shape a mix-up would go unnoticed, so the order is
put right once, here: `input_0` of the `.tflite` is then the Keras model's first input.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepack.errors import ConversionError
from edgepack.models.tflite_file import read_tflite, text


def restore_order(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """List a `.tflite` file's inputs and outputs as asked; the rest of its bytes stay as they are.

    Args:
        path: a file with one signature, as TFLiteConverter writes it.
        inputs: the signature's names of all inputs, in the order wanted.
        outputs: the same of the outputs.

    Raises:
        ModelError: the file is damaged.
        ConversionError: the signature is missing or names other inputs or outputs.
    """
    from ai_edge_litert import schema_py_generated as schema

    if len(inputs) == 1 and len(outputs) == 1:
        return
    model = read_tflite(path)
    graph = model.subgraphs[0]
    signatures = model.signatureDefs or []
    if len(signatures) != 1:
        raise ConversionError(f"{path.name} has {len(signatures)} signatures instead of one")
    wanted_inputs = _indices(path, signatures[0].inputs, inputs, graph.inputs)
    wanted_outputs = _indices(path, signatures[0].outputs, outputs, graph.outputs)
    # Written into the vectors in place: building the file anew would lose the alignment of weights.
    data = bytearray(path.read_bytes())
    main = schema.Model.GetRootAs(data, 0).Subgraphs(0)
    main.InputsAsNumpy()[:] = wanted_inputs
    main.OutputsAsNumpy()[:] = wanted_outputs
    path.write_bytes(data)


def _indices(path: Path, entries: Any, names: Sequence[str], present: Any) -> list[int]:
    """The tensor indices of named inputs or outputs; exactly those that the graph lists."""
    by_name = {text(entry.name): int(entry.tensorIndex) for entry in entries or []}
    indices = [by_name.get(name, -1) for name in names]
    if sorted(indices) != sorted(int(index) for index in present):
        raise ConversionError(
            f"the signature of {path.name} names {', '.join(sorted(by_name))}",
            allowed=", ".join(names),
        )
    return indices
