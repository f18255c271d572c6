"""The standalone C runtime: one header and one source per model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edgepack import __version__
from edgepack.emit.c_text import c_type, comment, identifier, initializer, literal
from edgepack.emit.program import GraphProgram, Program
from edgepack.emit.templates import render
from edgepack.errors import UnsupportedError
from edgepack.ir import Tensor
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.fixed_point import INTEGER_RANGE
from edgepack.ops.shared.kernel import (
    Arg,
    Const,
    FieldValue,
    Input,
    InputArray,
    KernelCall,
    Null,
    Output,
    OutputArray,
    Params,
    Scratch,
    SubgraphRef,
    flat_args,
)
from edgepack.types import Array, DType


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
class _Instance:
    """One specialised copy of a kernel: parameters fixed, pointers open."""

    name: str
    function: str
    fallible: bool
    signature: tuple[str, ...]  # C parameter declarations
    call_args: tuple[str, ...]
    structs: tuple[tuple[str, str, str], ...]  # ctype, name, initializer
    pointers: tuple[str, ...]  # declarations of pointer arrays


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
    """The run function of one graph."""

    index: int
    name: str
    steps: list[_Step]


@dataclass
class _Emission:
    """What accumulates while a program is walked."""

    prefix: str
    arrays: dict[tuple[str, bytes, str, int], _Array] = field(default_factory=dict)
    instances: dict[tuple[object, ...], _Instance] = field(default_factory=dict)
    headers: set[str] = field(default_factory=set)


def emit_c_runtime(program: Program, name: str, origin: Origin) -> SourceText:
    """Generate `ep_<name>.h` and `ep_<name>.c`.

    Args:
        name: the model's C name, a checked identifier.
    """
    prefix = f"ep_{identifier(name)}"
    emission = _Emission(prefix)
    runs = [
        _Run(i, comment(g.graph.name), _steps(emission, g, main=i == 0))
        for i, g in enumerate(program.graphs)
    ]
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
        "arena_bytes": main.plan.arena_bytes,
        "layer_count": len(runs[0].steps),
        "inputs": [_io(main, i, graph.tensors[t]) for i, t in enumerate(graph.inputs)],
        "outputs": [_io(main, i, graph.tensors[t]) for i, t in enumerate(graph.outputs)],
        "state": _state(main),
        "runs": runs,
        "arrays": list(emission.arrays.values()),
        "instances": list(emission.instances.values()),
        "headers": sorted(emission.headers),
    }
    return SourceText(
        f"{prefix}.h",
        render("c_runtime/model.h.j2", **context),
        f"{prefix}.c",
        render("c_runtime/model.c.j2", **context),
    )


def _io(program: GraphProgram, index: int, tensor: Tensor) -> dict[str, object]:
    if tensor.is_const:
        raise UnsupportedError(f"output {tensor.name!r} of the model is a constant")
    per_tensor = tensor.quant is not None and not tensor.quant.per_channel
    return {
        "index": index,
        "name": comment(tensor.name),
        "ctype": tensor.dtype.c,
        "dtype": tensor.dtype.value,
        "shape": tensor.shape or (1,),
        "rank": len(tensor.shape),
        "elements": tensor.elements,
        "bytes": tensor.nbytes,
        "offset": program.plan.tensors[tensor.id],
        "scale": literal(float(tensor.scale)) if per_tensor else None,
        "zero_point": tensor.zero_point if per_tensor else None,
        "limits": INTEGER_RANGE.get(tensor.dtype),
    }


def _state(program: GraphProgram) -> list[dict[str, int]]:
    """State variables, set to their zero point by init (as TFLM does)."""
    return [
        {
            "offset": program.plan.tensors[t.id],
            "bytes": t.nbytes,
            "fill": t.zero_point & 0xFF if t.dtype is DType.INT8 else 0,
        }
        for t in program.graph.tensors.values()
        if t.is_variable
    ]


def _steps(emission: _Emission, program: GraphProgram, *, main: bool) -> list[_Step]:
    steps = []
    for position, (view, call) in enumerate(zip(program.views(), program.lowered, strict=True)):
        outputs = tuple(
            (slot, f"a + {program.plan.tensors[t.id]}", t.nbytes)
            for slot, t in enumerate(view.outputs)
        )
        text = ""
        fallible = False
        if isinstance(call, KernelCall):
            text = _call(emission, program, position, view, call)
            fallible = call.fallible
        steps.append(
            _Step(position, text, fallible, comment(view.describe()), outputs if main else ())
        )
    return steps


def _call(
    emission: _Emission,
    program: GraphProgram,
    position: int,
    view: NodeView,
    call: KernelCall,
) -> str:
    emission.headers.add(call.header)
    instance = _instance(emission, view, call)
    pointers = [
        _pointer(emission, program, position, view, arg)
        for arg in flat_args(call.args)
        if isinstance(arg, (Input, Output, Scratch, Const, SubgraphRef))
    ]
    return f"{instance.name}({', '.join(pointers)})"


def _instance(emission: _Emission, view: NodeView, call: KernelCall) -> _Instance:
    """The specialised copy for this call; calls with equal parameters share one."""
    signature: list[str] = []
    call_args: list[str] = []
    structs: list[tuple[str, str, str]] = []
    arrays: list[str] = []
    for i, arg in enumerate(call.args):
        name = f"p{i}"
        declared = _parameter(view, arg, name)
        if declared is not None:
            signature.append(declared)
            call_args.append(name)
        elif isinstance(arg, Params):
            structs.append((arg.ctype, name, _struct(arg)))
            call_args.append(f"&{name}")
        elif isinstance(arg, (InputArray, OutputArray)):
            names = [f"{name}_{n}" for n in range(len(arg.slots))]
            for element, part in zip(flat_args((arg,)), names, strict=True):
                signature.append(_parameter(view, element, part) or "")
            pointed = signature[-1].removesuffix(names[-1])
            arrays.append(f"{pointed}const {name}[] = {{{', '.join(names)}}}")
            call_args.append(name)
        else:
            assert isinstance(arg, Null)
            call_args.append(f"({arg.ctype} *)NULL")
    key = (call.function, tuple(signature), tuple(call_args), tuple(structs))
    if key not in emission.instances:
        emission.instances[key] = _Instance(
            f"{emission.prefix}_k{len(emission.instances)}",
            call.function,
            call.fallible,
            tuple(signature),
            tuple(call_args),
            tuple(structs),
            tuple(arrays),
        )
    return emission.instances[key]


def _parameter(view: NodeView, arg: Arg, name: str) -> str | None:
    match arg:
        case Input(slot):
            return f"const {view.input(slot).dtype.c} *{name}"
        case Output(slot):
            return f"{view.output(slot).dtype.c} *{name}"
        case Scratch(ctype):
            return f"{ctype} *{name}"
        case Const():
            return f"const {c_type(arg.data)} *{name}"
        case SubgraphRef():
            return f"ep_subgraph {name}"
        case _:
            return None


def _pointer(
    emission: _Emission, program: GraphProgram, position: int, view: NodeView, arg: Arg
) -> str:
    plan = program.plan
    match arg:
        case Input(slot):
            tensor = view.input(slot)
            if tensor.data is not None:
                const = Const(f"in{slot}", tensor.data.reshape(-1))
                return _array(emission, position, const).name
            return f"(const {tensor.dtype.c} *)(const void *)(a + {plan.tensors[tensor.id]})"
        case Output(slot):
            tensor = view.output(slot)
            return f"({tensor.dtype.c} *)(void *)(a + {plan.tensors[tensor.id]})"
        case Scratch(ctype):
            return f"({ctype} *)(void *)(a + {plan.scratch[position]})"
        case Const():
            return _array(emission, position, arg).name
        case SubgraphRef(index):
            return f"{emission.prefix}_run{index}"
        case _:
            raise AssertionError(arg)


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


def _unique(emission: _Emission, array: _Array, key: tuple[str, bytes, str, int]) -> _Array:
    taken = {a.name for k, a in emission.arrays.items() if k != key}
    name, n = array.name, 2
    while name in taken:
        name, n = f"{array.name}{n}", n + 1
    return replace(array, name=name)


def _struct(params: Params) -> str:
    """Designated initializers; a dotted name reaches into a nested struct."""
    return ", ".join(f".{name} = {_field(value)}" for name, value in params.fields)


def _field(value: FieldValue) -> str:
    if isinstance(value, tuple):
        return "{" + ", ".join(literal(v) for v in value) + "}"
    return literal(value)
