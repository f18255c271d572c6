"""Lowered calls: what the emitter needs to know about one use of a C kernel, as printable data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgepack.types import Array

# Fields of a params struct: C integers, floats (emitted so that they read back to the same
# bits), or arrays of them.
FieldValue = int | float | bool | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Input:
    """Pointer to input tensor `slot`, typed by its dtype; a constant is emitted as stored."""

    slot: int


@dataclass(frozen=True)
class Output:
    """Pointer to output tensor `slot`, typed by its dtype."""

    slot: int


@dataclass(frozen=True)
class InputArray:
    """Array of pointers to the input tensors `slots`, which have one dtype: `const T *const *`.

    With `typed` off they may differ, and the array is `const void *const *`.
    """

    slots: tuple[int, ...]
    typed: bool = True


@dataclass(frozen=True)
class OutputArray:
    """Array of pointers to the output tensors `slots`, which have one dtype: `T *const *`.

    With `typed` off they may differ, and the array is `void *const *`.
    """

    slots: tuple[int, ...]
    typed: bool = True


@dataclass(frozen=True)
class State:
    """Writable pointer to the state behind input `slot`: `T *` to the variable tensor itself, or
    `void *` to the variable that a resource handle names.
    """

    slot: int


@dataclass(frozen=True)
class Persistent:
    """Pointer to the call's own state (KernelCall.persistent_bytes of it), as `ctype *`."""

    ctype: str


@dataclass(frozen=True)
class Scratch:
    """Pointer to the call's scratch memory (KernelCall.scratch_bytes of it), as `ctype *`."""

    ctype: str


@dataclass(frozen=True, eq=False)
class Const:
    """Pointer to a constant made at build time.

    Args:
        name: what it is, a C identifier such as `weights`; part of the emitted name.
        data: 1-D array of the C element type (int8, int16, int32, uint8, uint32, float32, ...).
        role: `weights` (counts as the model's weights in the size table) or `tables`.
        align: alignment in bytes that the kernel relies on.
    """

    name: str
    data: Array
    role: Literal["weights", "tables"] = "weights"
    align: int = 4


@dataclass(frozen=True)
class Null:
    """A NULL pointer of `ctype`, for an optional operand that is absent."""

    ctype: str


@dataclass(frozen=True)
class Params:
    """Pointer to a `static const` struct of compile-time constants; fields in declaration order.

    Args:
        structural: the fields that decide which code a kernel needs. Layers that are equal in them
            may share one copy of the code (emit/sharing.py); none: the code is never shared.
        optional: boolean fields that only switch on a shortcut: false is always correct.
    """

    ctype: str
    fields: tuple[tuple[str, FieldValue], ...]
    structural: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubgraphRef:
    """The function of subgraph `index`: `ep_subgraph` of firmware/kernels/ep_control.h."""

    index: int


@dataclass(frozen=True)
class Context:
    """The model's own struct as `void *`, which every `ep_subgraph` takes first."""


@dataclass(frozen=True)
class PointerArray:
    """Array of `count` pointers on the stack, `const void **`, for the callee to fill in."""

    count: int


Arg = (
    Input
    | Output
    | InputArray
    | OutputArray
    | State
    | Persistent
    | Scratch
    | Const
    | Null
    | Params
    | SubgraphRef
    | Context
    | PointerArray
)


def flat_args(args: Sequence[Arg]) -> Iterator[Arg]:
    """The arguments with every array of pointers replaced by its elements."""
    for arg in args:
        match arg:
            case InputArray(slots, _):
                yield from map(Input, slots)
            case OutputArray(slots, _):
                yield from map(Output, slots)
            case _:
                yield arg


OverlapMode = Literal["before", "after", "exact"]


@dataclass(frozen=True)
class Overlap:
    """Memory that input and output of a call may share.

    With limit = offset(input) - lead, the output may overlap the input if its offset is

    - `before`: at most limit. For a kernel that runs from the first byte to the last; a negative
      lead lets the output start that much after the input, and lead 0 includes the same address.
    - `after`: at least limit. For a kernel that runs from the last byte to the first.
    - `exact`: limit and nothing else.
    """

    input_slot: int
    output_slot: int
    lead: int
    mode: OverlapMode = "before"


@dataclass(frozen=True, eq=False)
class Units:
    """How a stream of weights is made up: units of equal size, in order.

    Args:
        rows: uint8 [units, bytes of a unit].
        before, after: bytes of a unit that are not weights.
        channels: filters of a unit.
        paired: weights are int16 f0 + 256 * f1 (firmware/kernels/ep_dot_dsp.h).
    """

    rows: npt.NDArray[np.uint8]
    before: int
    after: int
    channels: int
    paired: bool = False

    @classmethod
    def of(
        cls, stream: Array, before: int, weights: int, after: int, channels: int, *, paired: bool
    ) -> Units:
        """From a stream and the bytes of a unit's parts."""
        data = np.ascontiguousarray(stream).view(np.uint8)
        return cls(data.reshape(-1, before + weights + after), before, after, channels, paired)


@dataclass(frozen=True, eq=False)
class Sparse:
    """A call that leaves out weights that are zero, and what it costs beside the plain one.

    Args:
        call: the other call.
        saved_bytes: of constants; below zero where it takes more.
        instructions: more of an inference; below zero where it takes fewer.
    """

    call: KernelCall
    saved_bytes: int
    instructions: int


@dataclass(frozen=True)
class KernelCall:
    """One call of one kernel.

    Args:
        function: C function, declared in firmware/kernels/`header`.
        args: arguments in order.
        scratch_bytes: bytes of scratch memory the call needs, aligned to 8.
        persistent_bytes: bytes that survive from call to call, zeroed by init, aligned to 4.
        overlaps: which inputs the outputs may overwrite while the kernel runs.
        macs: multiply-accumulates that the kernel executes.
        fallible: the function returns ep_status (others return void).
        reason: why this kernel was chosen, for `--explain`.
        cheap_to_share: reading the parameters at run time costs this call next to nothing, so that
            its code is shared with other layers even where it is hot.
        units: of the stream of weights, where they may be stored coded (ops/shared/coded.py).
        sparse: the same without weights that are zero, where that could pay (ops/shared/sparse.py).
    """

    function: str
    header: str
    args: tuple[Arg, ...]
    scratch_bytes: int = 0
    persistent_bytes: int = 0
    overlaps: tuple[Overlap, ...] = ()
    macs: int = 0
    fallible: bool = False
    reason: str = ""
    cheap_to_share: bool = False
    units: Units | None = None
    sparse: Sparse | None = None


@dataclass(frozen=True)
class Placement:
    """Tensor `tensor` lies `offset` bytes into tensor `within`: no bytes move."""

    tensor: int
    within: int
    offset: int = 0


@dataclass(frozen=True)
class Alias:
    """A node that needs no code: its tensors share memory. Tensor ids, not slots.

    Without placements it is a node that does nothing at run time (VAR_HANDLE).
    A placed tensor equals the bytes of the other at its offset. Where the graph does not allow that
    (memory/aliases.py: constants, alignment, bytes that are still needed), `fallback` copies.
    """

    placements: tuple[Placement, ...]
    reason: str = "no copy: the tensors share memory"
    fallback: KernelCall | None = None


Lowered = KernelCall | Alias


@dataclass(frozen=True)
class Isa:
    """What the kernels may use.

    Args:
        features: subset of {"dsp", "mve", "fpu", "neon", ...}, as the soc record lists them.
        optimize: speed | size | ram | balanced.
    """

    features: frozenset[str] = field(default_factory=frozenset)
    optimize: Literal["speed", "size", "ram", "balanced"] = "balanced"

    def has(self, feature: str) -> bool:
        return feature in self.features
