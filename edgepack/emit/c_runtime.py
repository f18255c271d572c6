"""The standalone C runtime: one header and one source per model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edgepack import __version__
from edgepack.emit.c_text import c_type, comment, identifier, initializer, literal
from edgepack.emit.instances import Instance, specialise
from edgepack.emit.program import GraphProgram, Program
from edgepack.emit.sharing import SharedParams
from edgepack.emit.templates import render
from edgepack.errors import UnsupportedError
from edgepack.ir import Tensor
from edgepack.memory.state import StatePlan
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.fixed_point import INTEGER_RANGE
from edgepack.ops.shared.kernel import (
    Arg,
    Const,
    Context,
    Input,
    KernelCall,
    Output,
    Persistent,
    Scratch,
    State,
    SubgraphRef,
    flat_args,
)
from edgepack.types import Array, DType

# Arguments that differ from call to call of one specialised copy.
_POINTERS = (
    Input,
    Output,
    State,
    Persistent,
    Scratch,
    Const,
    SharedParams,
    SubgraphRef,
    Context,
)


@dataclass(frozen=True)
class SourceText:
    """Generated files: name relative to the project's model/ directory -> text."""

    header_name: str
    header: str
    source_name: str
    source: str


@dataclass(frozen=True)
class Origin:
    """What the header comment says about where the code comes from.

    Args:
        model_name, sha256: of the .tflite file.
        options: build options as text.
    """

    model_name: str
    sha256: str
    options: str


@dataclass(frozen=True)
class _Array:
    """A constant to emit."""

    name: str
    ctype: str
    count: int
    text: str
    section: str
    align: int


@dataclass(frozen=True)
class _Step:
    """One call in a graph's run function and the outputs that the hook reports."""

    layer: int
    call: str
    fallible: bool
    label: str
    outputs: tuple[tuple[int, str, int], ...]  # output slot, address expression, bytes


@dataclass(frozen=True)
class _Run:
    """The run function of one graph; `outputs` are the addresses that a subgraph hands back."""

    index: int
    name: str
    steps: list[_Step]
    outputs: list[str]


@dataclass
class _Emission:
    """What accumulates while a program is walked."""

    prefix: str
    state: StatePlan
    arrays: dict[tuple[str, bytes, str, int], _Array] = field(default_factory=dict)
    instances: dict[tuple[object, ...], Instance] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    headers: set[str] = field(default_factory=set)


def emit_c_runtime(program: Program, name: str, origin: Origin) -> SourceText:
    """Generate `ep_<name>.h` and `ep_<name>.c`.

    Args:
        name: the model's C name, a checked identifier.
    """
    prefix = f"ep_{identifier(name)}"
    emission = _Emission(prefix, program.state)
    runs = [_run(emission, program.graphs[number]) for number in program.order]
    main = program.main
    graph = main.graph
    context = {
        "prefix": prefix,
        "macro": prefix.upper(),
        "version": __version__,
        "origin": {
            "model": comment(origin.model_name),
            "sha256": origin.sha256,
            "options": comment(origin.options),
        },
        "arena_bytes": program.arena_bytes,
        "layer_count": len(main.lowered),
        "inputs": [_io(emission, main, i, graph.tensors[t]) for i, t in enumerate(graph.inputs)],
        "outputs": [_io(emission, main, i, graph.tensors[t]) for i, t in enumerate(graph.outputs)],
        "state": program.state.slots,
        "runs": runs,
        "arrays": list(emission.arrays.values()),
        "instances": list(emission.instances.values()),
        "tables": [(name, text) for text, name in emission.tables.items()],
        "headers": sorted(emission.headers),
    }
    return SourceText(
        f"{prefix}.h",
        render("c_runtime/model.h.j2", **context),
        f"{prefix}.c",
        render("c_runtime/model.c.j2", **context),
    )


def _io(
    emission: _Emission, program: GraphProgram, index: int, tensor: Tensor
) -> dict[str, object]:
    if tensor.dtype is DType.RESOURCE:
        raise UnsupportedError(f"{tensor.name!r}, a resource handle, is an input or output")
    per_tensor = tensor.quant is not None and not tensor.quant.per_channel
    constant = tensor.data
    return {
        "index": index,
        "name": comment(tensor.name),
        "ctype": tensor.dtype.c,
        "dtype": tensor.dtype.value,
        "shape": tensor.shape or (1,),
        "rank": len(tensor.shape),
        "elements": tensor.elements,
        "bytes": tensor.nbytes,
        "offset": None if constant is not None else _offset(emission, program, tensor.id),
        "value": None if constant is None else initializer(constant) if constant.size else "    0",
        "scale": literal(float(tensor.scale)) if per_tensor else None,
        "zero_point": tensor.zero_point if per_tensor else None,
        "limits": INTEGER_RANGE.get(tensor.dtype),
    }


def _offset(emission: _Emission, program: GraphProgram, tensor: int) -> int:
    """The offset in the arena of a tensor of the entry graph."""
    state = emission.state.tensors.get((program.number, tensor))
    return program.plan.tensors[tensor] if state is None else state


def _address(emission: _Emission, program: GraphProgram, tensor: int) -> str:
    """C expression, a pointer to bytes: where a tensor lies that is not a constant."""
    state = emission.state.tensors.get((program.number, tensor))
    if state is not None:
        return f"self->arena + {state}"
    graph = program.graph
    if graph.called and tensor in graph.inputs:
        return f"in[{graph.inputs.index(tensor)}]"
    updated = dict(graph.updates).get(tensor)
    if updated is not None:  # the caller's variable, which is not const
        return f"(uint8_t *)(uintptr_t)in[{updated}]"
    return f"a + {program.plan.tensors[tensor]}"


def _run(emission: _Emission, program: GraphProgram) -> _Run:
    graph = program.graph
    steps = _steps(emission, program, main=program.number == 0)
    outputs = [
        _array(emission, len(steps), Const("out", tensor.data.reshape(-1))).name
        if tensor.data is not None
        else "NULL"
        if tensor.dtype is DType.RESOURCE
        else _address(emission, program, tensor.id)
        for tensor in (graph.tensors[i] for i in graph.outputs)
        if program.number
    ]
    return _Run(program.number, comment(graph.name), steps, outputs)


def _steps(emission: _Emission, program: GraphProgram, *, main: bool) -> list[_Step]:
    steps = []
    for position, (view, call) in enumerate(zip(program.views(), program.lowered, strict=True)):
        outputs = tuple(
            (slot, _address(emission, program, t.id), t.nbytes)
            for slot, t in enumerate(view.outputs)
            if main and t.dtype is not DType.RESOURCE
        )
        text = ""
        fallible = False
        if isinstance(call, KernelCall):
            text = _call(emission, program, position, view, call)
            fallible = call.fallible
        steps.append(_Step(position, text, fallible, comment(view.describe()), outputs))
    return steps


def _call(
    emission: _Emission,
    program: GraphProgram,
    position: int,
    view: NodeView,
    call: KernelCall,
) -> str:
    emission.headers.add(call.header)
    instance = specialise(emission.instances, emission.prefix, view, call)
    pointers = [
        _pointer(emission, program, position, view, arg)
        for arg in flat_args(call.args)
        if isinstance(arg, _POINTERS)
    ]
    return f"{instance.name}({', '.join(pointers)})"


def _pointer(
    emission: _Emission, program: GraphProgram, position: int, view: NodeView, arg: Arg
) -> str:
    match arg:
        case Input(slot):
            tensor = view.input(slot)
            if tensor.data is not None:
                const = Const(f"in{slot}", tensor.data.reshape(-1))
                return _array(emission, position, const).name
            return _typed(f"const {tensor.dtype.c}", _place(emission, program, tensor))
        case Output(slot):
            tensor = view.output(slot)
            return _typed(tensor.dtype.c, _place(emission, program, tensor))
        case State(slot):
            tensor = view.input(slot)
            address = _address(emission, program, tensor.id)
            ctype = "void" if tensor.dtype is DType.RESOURCE else tensor.dtype.c
            return _typed(ctype, address)
        case Persistent(ctype):
            return _typed(ctype, f"self->arena + {emission.state.calls[program.number, position]}")
        case Scratch(ctype):
            return _typed(ctype, f"a + {program.plan.scratch[position]}")
        case Context():
            return "self"
        case Const():
            return _array(emission, position, arg).name
        case SharedParams():
            return _table(emission, arg)
        case SubgraphRef(index):
            return f"{emission.prefix}_run{index}"
        case _:
            raise AssertionError(arg)


def _place(emission: _Emission, program: GraphProgram, tensor: Tensor) -> str:
    """The address of what a call reads or writes; a resource handle has no bytes."""
    if tensor.dtype is DType.RESOURCE:
        return "NULL"
    return _address(emission, program, tensor.id)


def _typed(ctype: str, address: str) -> str:
    if address == "NULL":
        return "NULL"
    inner = "const void" if ctype.startswith("const ") else "void"
    return f"({ctype} *)({inner} *)({address})" if ctype != inner else f"({inner} *)({address})"


def _array(emission: _Emission, position: int, const: Const) -> _Array:
    """The emitted constant; equal arrays of one role are emitted once."""
    data: Array = const.data
    key = (data.dtype.name, data.tobytes(), const.role, const.align)
    if key not in emission.arrays:
        emission.arrays[key] = _Array(
            f"{emission.prefix}_w{position}_{identifier(const.name)}",
            c_type(data),
            max(data.size, 1),
            initializer(data) if data.size else "    0",
            "EP_WEIGHTS" if const.role == "weights" else "EP_TABLES",
            max(const.align, data.dtype.itemsize),
        )
        emission.arrays[key] = _unique(emission, emission.arrays[key], key)
    return emission.arrays[key]


def _table(emission: _Emission, params: SharedParams) -> str:
    """The name of the table with one layer's varying parameters."""
    text = ", ".join(literal(v) for v in params.table())
    return emission.tables.setdefault(text, f"{emission.prefix}_p{len(emission.tables)}")


def _unique(emission: _Emission, array: _Array, key: tuple[str, bytes, str, int]) -> _Array:
    taken = {a.name for k, a in emission.arrays.items() if k != key}
    name, n = array.name, 2
    while name in taken:
        name, n = f"{array.name}{n}", n + 1
    return replace(array, name=name)
