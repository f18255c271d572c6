"""Specialised copies of kernels: parameters fixed at compile time, pointers given per call."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.emit.c_structs import mixed_initializer, struct_initializer
from edgepack.emit.c_text import c_type
from edgepack.emit.sharing import SharedParams
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.kernel import (
    Arg,
    Const,
    Context,
    Input,
    InputArray,
    KernelCall,
    Null,
    Output,
    OutputArray,
    Params,
    Persistent,
    PointerArray,
    Scratch,
    State,
    SubgraphRef,
    flat_args,
)
from edgepack.types import DType


@dataclass(frozen=True)
class Instance:
    """One specialised copy of a kernel: parameters fixed, pointers open."""

    name: str
    function: str
    fallible: bool
    signature: tuple[str, ...]  # C parameter declarations
    call_args: tuple[str, ...]
    structs: tuple[tuple[str, str, str], ...]  # ctype, name, initializer
    locals: tuple[tuple[str, str, str], ...]  # the same, partly read from a table
    pointers: tuple[str, ...]  # declarations of pointer arrays


def specialise(
    known: dict[tuple[object, ...], Instance], prefix: str, view: NodeView, call: KernelCall
) -> Instance:
    """The specialised copy for this call; calls with equal parameters share one."""
    signature: list[str] = []
    call_args: list[str] = []
    structs: list[tuple[str, str, str]] = []
    locals_: list[tuple[str, str, str]] = []
    arrays: list[str] = []
    for i, arg in enumerate(call.args):
        name = f"p{i}"
        declared = _parameter(view, arg, name)
        if isinstance(arg, SharedParams):
            signature.append(f"const int32_t *{name}")
            locals_.append((arg.ctype, f"{name}_all", mixed_initializer(arg, name)))
            call_args.append(f"&{name}_all")
        elif declared is not None:
            signature.append(declared)
            call_args.append(name)
        elif isinstance(arg, Params):
            structs.append((arg.ctype, name, struct_initializer(arg)))
            call_args.append(f"&{name}")
        elif isinstance(arg, (InputArray, OutputArray)):
            call_args.append(_pointer_array(view, arg, name, signature, arrays))
        elif isinstance(arg, PointerArray):
            arrays.append(f"const void *{name}[{max(arg.count, 1)}]")
            call_args.append(name)
        else:
            assert isinstance(arg, Null)
            call_args.append(f"({arg.ctype} *)NULL")
    key = (call.function, tuple(signature), tuple(call_args), tuple(structs), tuple(locals_))
    if key not in known:
        known[key] = Instance(
            f"{prefix}_k{len(known)}",
            call.function,
            call.fallible,
            tuple(signature),
            tuple(call_args),
            tuple(structs),
            tuple(locals_),
            tuple(arrays),
        )
    return known[key]


def _pointer_array(
    view: NodeView,
    arg: InputArray | OutputArray,
    name: str,
    signature: list[str],
    arrays: list[str],
) -> str:
    """The argument for an array of pointers, declared in `arrays` from new parameters."""
    names = [f"{name}_{n}" for n in range(len(arg.slots))]
    for element, part in zip(flat_args((arg,)), names, strict=True):
        signature.append(_parameter(view, element, part) or "")
    pointed = "const void *" if isinstance(arg, InputArray) else "void *"
    if not names:
        return f"({pointed}const *)NULL"
    if arg.typed:
        pointed = signature[-1].removesuffix(names[-1])
    arrays.append(f"{pointed}const {name}[] = {{{', '.join(names)}}}")
    return name


def _parameter(view: NodeView, arg: Arg, name: str) -> str | None:
    match arg:
        case Input(slot):
            return f"const {view.input(slot).dtype.c} *{name}"
        case Output(slot):
            return f"{view.output(slot).dtype.c} *{name}"
        case State(slot):
            dtype = view.input(slot).dtype
            return f"{'void' if dtype is DType.RESOURCE else dtype.c} *{name}"
        case Scratch(ctype) | Persistent(ctype):
            return f"{ctype} *{name}"
        case Context():
            return f"void *{name}"
        case Const():
            return f"const {c_type(arg.data)} *{name}"
        case SubgraphRef():
            return f"ep_subgraph {name}"
        case _:
            return None
