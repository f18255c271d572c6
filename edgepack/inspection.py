"""What is in a .tflite model, what it costs, what runs it and where it fits; nothing is emitted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgepack.cache import file_digest
from edgepack.emit.program import Program, build_program, parameters
from edgepack.emit.tflm_ops import TFLM_OPS
from edgepack.frontends.tflite import load_tflite
from edgepack.ir import Module, Tensor
from edgepack.ops.advice import full_name
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.kernel import Const, Input, Isa, KernelCall, Lowered, flat_args
from edgepack.ops.support import OpType, Support, op_type, tflm_support
from edgepack.ops.table import OPS
from edgepack.ops.verify import unsupported_nodes
from edgepack.passes.fold_constants import fold_constants
from edgepack.passes.remove_dead import remove_dead
from edgepack.types import Array


@dataclass(frozen=True)
class TensorReport:
    """One input or output: dtype is TFLite's name; scale and zero_point are None for floats."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class LayerReport:
    """One operator of the model as it is written in the file.

    `macs` are multiply-accumulates, 0 where `supported` is off; `weight_bytes` the bytes of its
    constant inputs in the file; `supported` says whether the C runtime has a kernel for it,
    `problem` why not, and `remedy` which rewrite or recipe would avoid it.
    """

    index: int
    subgraph: int
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int
    weight_bytes: int
    supported: bool
    problem: str
    remedy: str = ""


@dataclass(frozen=True)
class SupportReport:
    """One row of the table runtime x operator x type.

    `types` are those of the leading input and, where different, of the weights; `count` says how
    many operators of the model the row stands for. `c` and `tflm` are `yes`, `no` or `untried`; `c`
    also knows attributes and shapes.
    """

    op: str
    types: str
    count: int
    c: str
    tflm: str


@dataclass(frozen=True)
class Room:
    """What a target offers a model, in bytes, of which `stack_bytes` are reserved for the stack.

    `features` are those of its instruction set.
    """

    target: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    features: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fit:
    """How a model and a target go together, before anything is compiled.

    `flash_left` is what the weights leave for code, `ram_left` what arena and reserved stack leave
    for other data, in bytes; negative where they alone do not fit.
    """

    target: str
    flash_bytes: int
    ram_bytes: int
    flash_left: int
    ram_left: int

    @property
    def possible(self) -> bool:
        """Whether weights and arena fit; only `edgepack build` knows about the code."""
        return self.flash_left >= 0 and self.ram_left >= 0

    @property
    def missing(self) -> str:
        """`23,136 bytes of RAM`: what the target lacks; empty where the model fits."""
        lacks = (("flash", -self.flash_left), ("RAM", -self.ram_left))
        return " and ".join(f"{count:,} bytes of {kind}" for kind, count in lacks if count > 0)


@dataclass(frozen=True)
class Inspection:
    """Everything that `edgepack inspect` shows.

    `weight_bytes` and `arena_bytes` are those of the portable C kernels: constants in flash, and
    activations, state and scratch memory in RAM. `peak` is the operator while which most of it is
    live. All are None when an operator is unsupported; `remedies` then says what would help.
    """

    name: str
    sha256: str
    file_bytes: int
    inputs: tuple[TensorReport, ...]
    outputs: tuple[TensorReport, ...]
    layers: tuple[LayerReport, ...]
    macs: int
    weights: int
    weight_bytes: int | None
    arena_bytes: int | None
    peak: str | None
    problems: tuple[str, ...]
    remedies: tuple[str, ...]
    support: tuple[SupportReport, ...]
    fits: tuple[Fit, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The inspection as `--json` prints it."""
        document = asdict(self)
        for fit, shown in zip(self.fits, document["fits"], strict=True):
            shown["possible"] = fit.possible
            shown["missing"] = fit.missing
        return document


def inspect_tflite(path: Path, rooms: Iterable[Room] = ()) -> Inspection:
    """Read a model and work out what it needs.

    Args:
        path: the .tflite file.
        rooms: the targets to compare it with; a memory plan is made for each instruction set.

    Raises:
        ModelError: it is missing, truncated, corrupt or inconsistent.
        UnsupportedError: it holds something that cannot be represented, such as sparse tensors.
    """
    module = load_tflite(path)
    layers = tuple(_layers(module))
    problems = tuple(layer.problem for layer in layers if layer.problem)
    programs: dict[frozenset[str], Program] = {}

    def program(features: frozenset[str]) -> Program:
        if features not in programs:
            programs[features] = build_program(module, Isa(features))
        return programs[features]

    portable = None if problems else program(frozenset())
    fits = () if problems else tuple(_fit(room, program(room.features)) for room in rooms)
    return Inspection(
        name=module.name,
        sha256=file_digest(path),
        file_bytes=path.stat().st_size,
        inputs=tuple(_tensor(module.main.tensors[i]) for i in module.main.inputs),
        outputs=tuple(_tensor(module.main.tensors[i]) for i in module.main.outputs),
        layers=layers,
        macs=sum(layer.macs for layer in layers),
        weights=parameters(module),
        weight_bytes=None if portable is None else flash_constants(portable),
        arena_bytes=None if portable is None else portable.arena_bytes,
        peak=None if portable is None else _peak(portable),
        problems=problems,
        remedies=tuple(dict.fromkeys(layer.remedy for layer in layers if layer.remedy)),
        support=_support(module, layers),
        fits=fits,
    )


def flash_constants(program: Program) -> int:
    """Bytes of weights and tables that a program puts into flash; equal arrays count once."""
    arrays: dict[tuple[str, bytes], int] = {}
    for graph in program.graphs:
        for view, call in zip(graph.views(), graph.lowered, strict=True):
            for array in _constants(view, call):
                arrays[array.dtype.name, array.tobytes()] = array.nbytes
    return sum(arrays.values())


def _constants(view: NodeView, call: Lowered) -> Iterator[Array]:
    """What one call reads from flash: packed at build time, or as the file has it."""
    for arg in flat_args(call.args) if isinstance(call, KernelCall) else ():
        if isinstance(arg, Const):
            yield arg.data
        elif isinstance(arg, Input):
            data = view.input(arg.slot).data
            if data is not None:
                yield data


def _tensor(tensor: Tensor) -> TensorReport:
    per_tensor = tensor.quant is not None and not tensor.quant.per_channel
    return TensorReport(
        tensor.name,
        tensor.shape,
        tensor.dtype.value,
        tensor.scale if per_tensor else None,
        tensor.zero_point if per_tensor else None,
    )


def _layers(module: Module) -> Iterator[LayerReport]:
    # what folds away or is dead needs no kernel, and folding makes constants that others demand
    prepared = remove_dead(fold_constants(module))
    problems = {
        (number, node.index): error
        for number, graph in enumerate(prepared.graphs)
        for node in graph.nodes
        for error in unsupported_nodes(Module(module.name, (replace(graph, nodes=(node,)),)))
    }
    for number, graph in enumerate(module.graphs):
        for node in graph.nodes:
            view = NodeView.of(graph, node)
            problem = problems.get((number, node.index))
            constants = [t for t in view.inputs if t is not None and t.is_const]
            yield LayerReport(
                index=node.index,
                subgraph=number,
                op=full_name(node),
                inputs=tuple(t.describe() for t in view.inputs if t is not None),
                outputs=tuple(t.describe() for t in view.outputs),
                macs=0 if problem else OPS[node.op].macs(view),
                weight_bytes=sum(t.nbytes for t in constants),
                supported=problem is None,
                problem="" if problem is None else problem.message,
                remedy="" if problem is None else problem.next_step or "",
            )


def _support(module: Module, layers: Iterable[LayerReport]) -> tuple[SupportReport, ...]:
    """The operators of a model by name and types, in the order in which they first appear."""
    views = (NodeView.of(graph, node) for graph in module.graphs for node in graph.nodes)
    runs: dict[OpType, list[bool]] = {}
    for view, layer in zip(views, layers, strict=True):
        runs.setdefault(op_type(view), []).append(layer.supported)
    return tuple(
        SupportReport(
            kind.op,
            kind.types,
            len(runs[kind]),
            (Support.YES if all(runs[kind]) else Support.NO).value,
            (tflm_support(kind) if kind.op in TFLM_OPS else Support.NO).value,
        )
        for kind in runs
    )


def _peak(program: Program) -> str | None:
    """The operator while which most bytes are live, `op 3 CONV_2D`; None in a model without any."""
    graph, plan = program.main.graph, program.main.plan
    live = [
        sum(b.size for b in plan.buffers if b.first <= position <= b.last)
        for position in range(len(graph.nodes))
    ]
    if not live:
        return None
    node = graph.nodes[live.index(max(live))]
    return f"op {node.index} {node.op}"


def _fit(room: Room, program: Program) -> Fit:
    return Fit(
        room.target,
        room.flash_bytes,
        room.ram_bytes,
        room.flash_bytes - flash_constants(program),
        room.ram_bytes - room.stack_bytes - program.arena_bytes,
    )
