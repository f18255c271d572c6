"""A project whose model TensorFlow Lite Micro runs: array, C++ glue, and the user's own TFLM."""

from __future__ import annotations

from pathlib import Path

from edgepack.emit.c_runtime import Origin
from edgepack.emit.explain import tensor_info
from edgepack.emit.program import parameters
from edgepack.emit.sources import Sources, write_text
from edgepack.emit.tflm_arena import tflm_arena_bytes
from edgepack.emit.tflm_array import emit_tflm_array
from edgepack.emit.tflm_files import DEFINES, HEADERS, TflmBuild, copy_tflm
from edgepack.emit.tflm_glue import emit_tflm_glue
from edgepack.emit.tflm_ops import operators
from edgepack.ir import Graph, Module, Tensor
from edgepack.manifest import LayerInfo, ModelInfo
from edgepack.ops.shared.base import NodeView
from edgepack.ops.table import OPS
from edgepack.types import DType

# firmware/tflm replaces parts of the C library, which the host has
BOARD_FOLDER = "tflm"


def emit_tflm_sources(
    directory: Path,
    module: Module,
    data: bytes,
    origin: Origin,
    c_name: str,
    task: str,
    *,
    build: TflmBuild | None,
    arena_bytes: int | None,
    board: bool,
) -> Sources:
    """Write the array, the C++ glue and, with a TFLM build, its library and headers.

    Args:
        directory: the project.
        module: the model as loaded; TFLM runs the file as it is, so no pass has changed it.
        data: the bytes of the .tflite file.
        task: what the text protocol calls the model.
        build: the user's TFLM, or None to write what edgepack generates alone.
        arena_bytes: of TFLM's arena, or None for an estimate.
        board: False for the host target, which has a C++ library of its own.

    Raises:
        UnsupportedError: an op that TFLM has no kernel for.
    """
    graph = module.main
    arena = arena_bytes or tflm_arena_bytes(module)
    glue = emit_tflm_glue(
        c_name,
        origin,
        operators(data),
        [graph.tensors[i].nbytes for i in graph.inputs],
        [graph.tensors[i].nbytes for i in graph.outputs],
        arena,
        task,
    )
    array = emit_tflm_array(data, c_name, origin)
    written = [
        write_text(directory, f"model/{array.header_name}", array.header),
        write_text(directory, f"model/{array.source_name}", array.source),
        write_text(directory, "bench_model.cc", glue),
    ]
    if build is not None:
        written += copy_tflm(build, glue, directory)
    return Sources(
        written=tuple(written),
        model=_model_info(module, origin, c_name),
        arena_bytes=arena,
        folders=(BOARD_FOLDER,) if board else (),
        include_dirs=(HEADERS,),
        defines=DEFINES,
        tflm=None if build is None else build.info(),
    )


def _model_info(module: Module, origin: Origin, c_name: str) -> ModelInfo:
    layers = _layers(module.main)
    return ModelInfo(
        name=origin.model_name,
        c_name=c_name,
        sha256=origin.sha256,
        macs=sum(
            OPS[node.op].macs(NodeView.of(graph, node))
            for graph in module.graphs
            for node in graph.nodes
        ),
        weights=parameters(module),
        weight_bytes=sum(layer.weight_bytes for g in module.graphs for layer in _layers(g)),
        inputs=tuple(tensor_info(module.main.tensors[i]) for i in module.main.inputs),
        outputs=tuple(tensor_info(module.main.tensors[i]) for i in module.main.outputs),
        layers=layers,
        stateful=_is_stateful(module),
    )


def _is_stateful(module: Module) -> bool:
    kept = any(tensor.is_variable for graph in module.graphs for tensor in graph.tensors.values())
    named = {node.op for graph in module.graphs for node in graph.nodes}
    return kept or bool(named & {"VAR_HANDLE", "CALL_ONCE"})


def _layers(graph: Graph) -> tuple[LayerInfo, ...]:
    views = [NodeView.of(graph, node) for node in graph.nodes]
    return tuple(
        LayerInfo(
            index=i,
            op=view.node.op,
            name=view.outputs[0].name if view.outputs else f"{view.node.op}_{i}",
            kernel="tflm",
            macs=OPS[view.node.op].macs(view),
            weight_bytes=sum(_stored(t) for t in view.inputs if t is not None and t.is_const),
            outputs=tuple(tensor_info(t) for t in view.outputs if t.dtype is not DType.RESOURCE),
        )
        for i, view in enumerate(views)
    )


def _stored(tensor: Tensor) -> int:
    """Bytes of a constant in the file, where two int4 share a byte."""
    return (tensor.nbytes + 1) // 2 if tensor.dtype is DType.INT4 else tensor.nbytes
