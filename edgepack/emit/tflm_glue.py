"""The C++ file that puts TensorFlow Lite Micro behind the bench firmware."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgepack import __version__
from edgepack.emit.c_runtime import Origin
from edgepack.emit.c_text import comment
from edgepack.emit.templates import render

# MicroMutableOpResolver's methods whose names do not follow from the op's name
_IRREGULAR = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
# TFLM places its own structures in the arena too; measured on the MLPerf Tiny models they take
# less than this, and the interpreter reports an arena that is too small at init.
_INTERPRETER_BYTES = 16 * 1024


def resolver_method(op: str) -> str:
    """The MicroMutableOpResolver method that registers a builtin op: CONV_2D -> AddConv2D."""
    if op in _IRREGULAR:
        return "Add" + _IRREGULAR[op]
    return "Add" + "".join(
        part if part[0].isdigit() else part.capitalize() for part in op.split("_")
    )


def emit_tflm_glue(
    c_name: str,
    origin: Origin,
    ops: Iterable[str],
    inputs: Sequence[int],
    outputs: Sequence[int],
    activation_bytes: int,
) -> str:
    """Generate bench_model.cc.

    Args:
        ops: builtin op names of the model.
        inputs, outputs: bytes of each input and output tensor.
        activation_bytes: of the planned arena; TFLM cannot overlap inputs and outputs, so its own
            need is estimated from it and checked at run time.
    """
    return render(
        "tflm/bench_model.cc.j2",
        version=__version__,
        model=comment(origin.model_name),
        sha256=origin.sha256,
        c_name=c_name,
        methods=[resolver_method(op) for op in sorted(set(ops))],
        inputs=list(inputs),
        outputs=list(outputs),
        arena_bytes=2 * activation_bytes + _INTERPRETER_BYTES,
    )
