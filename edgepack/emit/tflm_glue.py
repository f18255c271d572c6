"""The C++ file that puts TensorFlow Lite Micro behind the bench firmware."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack import __version__
from edgepack.emit.c_runtime import Origin
from edgepack.emit.c_text import comment
from edgepack.emit.templates import render
from edgepack.emit.tflm_ops import resolver_method


def emit_tflm_glue(
    c_name: str,
    origin: Origin,
    ops: Sequence[str],
    inputs: Sequence[int],
    outputs: Sequence[int],
    arena_bytes: int,
    task: str,
) -> str:
    """Generate bench_model.cc.

    Args:
        ops: the builtin op of every operator of the file.
        inputs, outputs: bytes of each input and output tensor.
        arena_bytes: of the arena, which TFLM divides itself.
        task: what the text protocol calls the model.

    Raises:
        UnsupportedError: an op that TFLM has no kernel for.
    """
    return render(
        "tflm/bench_model.cc.j2",
        version=__version__,
        model=comment(origin.model_name),
        sha256=origin.sha256,
        c_name=c_name,
        task=task,
        methods=[resolver_method(op) for op in sorted(set(ops))],
        variables=ops.count("VAR_HANDLE"),
        inputs=list(inputs),
        outputs=list(outputs),
        arena_bytes=arena_bytes,
    )
