"""How a model appears in the text protocol: its task id, and what `db` and `results` carry."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgepack import __version__
from edgepack.emit.c_text import literal
from edgepack.emit.templates import render
from edgepack.errors import UsageError
from edgepack.ir import Graph, Tensor
from edgepack.types import DType

NO_TASK = "none"
_TASK = re.compile(r"[A-Za-z0-9_-]{1,31}")

# Input and output shapes of the reference models of MLPerf Tiny v1.x, batch left out
# (mlcommons/tiny, benchmark/training).
TASK_SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "ad01": ((640,), (640,)),
    "ic01": ((32, 32, 3), (10,)),
    "kws01": ((49, 10, 1), (12,)),
    "sww01": ((30, 1, 40), (3,)),
    "vww01": ((96, 96, 3), (2,)),
}
# The benchmark's files for these hold the bytes of RGB pixels; the firmware of a submission takes
# 128 off (mlcommons/tiny, benchmark/reference_submissions).
_IMAGES = frozenset(("ic01", "ic02", "vww01"))
# The files for this one hold float32 spectrograms, and its result is the reconstruction error.
_ANOMALY = "ad01"

_TYPES = {
    DType.INT8: "S8",
    DType.UINT8: "U8",
    DType.BOOL: "U8",
    DType.INT16: "S16",
    DType.INT32: "S32",
    DType.FLOAT32: "F32",
}


def recognise_task(graph: Graph) -> str | None:
    """The MLPerf Tiny id of a model with the reference's input and output shapes, else None."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    shapes = (_sample_shape(graph, graph.inputs[0]), _sample_shape(graph, graph.outputs[0]))
    return next((task for task, known in TASK_SHAPES.items() if known == shapes), None)


def task_of(graph: Graph, wanted: str | None, c_name: str) -> str:
    """What `profile` prints as the model's id.

    Args:
        graph: the model.
        wanted: an id, `none` for the C name, or None to recognise it.
        c_name: the model's C identifier.

    Raises:
        UsageError: it is no id, or the model cannot be that benchmark's.
    """
    if wanted is None:
        return recognise_task(graph) or c_name
    if wanted == NO_TASK:
        return c_name
    if not _TASK.fullmatch(wanted):
        raise UsageError(
            f"{wanted!r} is no task id",
            allowed="kws01, ic01, vww01, ad01, sww01, an id of your own test script, or none",
        )
    if wanted == _ANOMALY and _anomaly_values(graph) is None:
        raise UsageError(
            "task ad01 compares the output with the input, and those of this model differ",
            allowed="one input and one output of equal size, each int8 or float32",
        )
    return wanted


def text_view_source(graph: Graph, task: str) -> str:
    """The C source that defines `ep_bench_text_instance`."""
    return render(
        "bench_text.c.j2",
        version=__version__,
        inputs=_tensors(graph, graph.inputs),
        outputs=_tensors(graph, graph.outputs),
        mode=_mode(graph, task),
        anomaly=_anomaly_values(graph) if task == _ANOMALY else None,
    )


def _mode(graph: Graph, task: str) -> str:
    image = task in _IMAGES and all(graph.tensors[i].dtype is DType.INT8 for i in graph.inputs)
    return "U8" if image else "RAW"


def _anomaly_values(graph: Graph) -> int | None:
    """Values of the one input, when the one output can be compared with it."""
    tensors = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    if len(graph.inputs) != 1 or len(tensors) != 2:
        return None
    comparable = all(
        t.dtype is DType.FLOAT32 or (t.dtype is DType.INT8 and t.quant is not None) for t in tensors
    )
    sizes = {t.nbytes // t.dtype.itemsize for t in tensors}
    return sizes.pop() if comparable and len(sizes) == 1 else None


def _tensors(graph: Graph, indices: Sequence[int]) -> list[dict[str, str]]:
    """One record a tensor; none at all when the protocol cannot print one of them."""
    tensors = [graph.tensors[i] for i in indices]
    if any(t.dtype not in _TYPES for t in tensors):
        return []
    return [_record(tensor) for tensor in tensors]


def _record(tensor: Tensor) -> dict[str, str]:
    quant = tensor.quant
    per_tensor = quant is not None and len(quant.scale) == 1 and tensor.dtype.name != "FLOAT32"
    scale, zero = (quant.scale[0], quant.zero_point[0]) if quant and per_tensor else (0.0, 0)
    return {
        "type": _TYPES[tensor.dtype],
        "scale": literal(float(scale)),
        "zero_point": literal(int(zero)),
    }


def _sample_shape(graph: Graph, index: int) -> tuple[int, ...]:
    shape = tuple(graph.tensors[index].shape)
    return shape[1:] if shape[:1] == (1,) else shape
