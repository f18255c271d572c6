"""plan.json and `--explain`: per layer, the kernel chosen, why, and what it costs."""

from __future__ import annotations

from typing import Any

from edgepack.emit.instances import Instance, specialise
from edgepack.emit.program import GraphProgram, Program, const_bytes
from edgepack.ir import Tensor
from edgepack.manifest import LayerInfo, TensorInfo
from edgepack.memory.plan import MemoryPlan
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.kernel import KernelCall, Lowered
from edgepack.ops.table import OPS
from edgepack.types import DType


def explain(program: Program, prefix: str) -> dict[str, Any]:
    """The plan as JSON data: arena, buffers with lifetimes, kernels with reasons.

    Args:
        prefix: what the names in the generated C begin with, `ep_<c_name>`.
    """
    functions = _functions(program, prefix)
    return {
        "arena_bytes": program.arena_bytes,
        "optimize": program.isa.optimize,
        "features": sorted(program.isa.features),
        "graphs": [_graph(g, functions) for g in program.graphs],
        "state": [
            {"name": s.name, "offset": s.offset, "size": s.size} for s in program.state.slots
        ],
    }


def _functions(program: Program, prefix: str) -> dict[tuple[int, int], str]:
    """By graph and layer, the generated C function that runs it (as emit/c_runtime.py names it)."""
    instances: dict[tuple[object, ...], Instance] = {}
    return {
        (number, layer): specialise(instances, prefix, view, call).name
        for number in program.order
        for layer, (view, call) in enumerate(
            zip(program.graphs[number].views(), program.graphs[number].lowered, strict=True)
        )
        if isinstance(call, KernelCall)
    }


def _live_bytes(plan: MemoryPlan, layer: int) -> int:
    """Bytes of the arena that hold something while a layer runs; overlapping buffers count once."""
    live = sorted(
        (offset, offset + buffer.size)
        for buffer, offset in zip(plan.buffers, plan.offsets, strict=True)
        if buffer.first <= layer <= buffer.last
    )
    total = reached = 0
    for start, end in live:
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _graph(program: GraphProgram, functions: dict[tuple[int, int], str]) -> dict[str, Any]:
    plan = program.plan
    return {
        "name": program.graph.name,
        "arena_bytes": plan.arena_bytes,
        "live_bytes_without_overlap": plan.lower_bound,
        "layers": [
            {
                "index": i,
                "op": view.node.op,
                "shapes": view.describe(),
                "output_shapes": [list(t.shape) for t in view.outputs],
                "kernel": kernel_name(call),
                "function": functions.get((program.number, i)),
                "reason": call.reason,
                "macs": call.macs if isinstance(call, KernelCall) else 0,
                "weight_bytes": const_bytes(call, "weights"),
                "table_bytes": const_bytes(call, "tables"),
                "scratch_bytes": call.scratch_bytes if isinstance(call, KernelCall) else 0,
                "live_bytes": _live_bytes(plan, i),
                "output_offsets": [plan.tensors.get(t.id) for t in view.outputs],
            }
            for i, (view, call) in enumerate(zip(program.views(), program.lowered, strict=True))
        ],
        "buffers": [
            {
                "offset": offset,
                "size": b.size,
                "first_layer": b.first,
                "last_layer": b.last,
                "tensors": [program.graph.tensors[t].name for t, _ in b.tensors],
                "scratch_of_layer": b.scratch_of,
            }
            for b, offset in zip(plan.buffers, plan.offsets, strict=True)
        ],
    }


def layer_infos(program: Program) -> tuple[LayerInfo, ...]:
    """The manifest's list of layers of the entry graph, in execution order."""
    return tuple(
        LayerInfo(
            index=i,
            op=view.node.op,
            name=view.outputs[0].name if view.outputs else f"{view.node.op}_{i}",
            kernel=kernel_name(call),
            macs=OPS[view.node.op].macs(view),
            weight_bytes=const_bytes(call, "weights"),
            outputs=_outputs(view),
        )
        for i, (view, call) in enumerate(
            zip(program.main.views(), program.main.lowered, strict=True)
        )
    )


def kernel_name(call: Lowered) -> str:
    """The C function, or `none` where tensors only share memory."""
    return call.function if isinstance(call, KernelCall) else "none"


def _outputs(view: NodeView) -> tuple[TensorInfo, ...]:
    """What the layer hook reports."""
    return tuple(tensor_info(t) for t in view.outputs if t.dtype is not DType.RESOURCE)


def tensor_info(tensor: Tensor) -> TensorInfo:
    """What the manifest says of one tensor."""
    per_tensor = tensor.quant is not None and not tensor.quant.per_channel
    return TensorInfo(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype.value,
        bytes=tensor.nbytes,
        scale=tensor.scale if per_tensor else None,
        zero_point=tensor.zero_point if per_tensor else None,
    )
