"""Which layers store their weights coded or without zeros: bytes of flash against instructions.

`size` takes whatever is smallest, `balanced` what shrinks the image by a larger share than it adds
instructions; `speed` and `ram` (a tile takes scratch memory) decode nothing, and leave zeros out
where that is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.coded import coded_calls
from edgepack.ops.shared.kernel import Const, KernelCall, Lowered
from edgepack.ops.shared.sparse_costs import plain_instructions

# Bytes of an image beside its constants, and of the code around a decoder: Cortex-M4, -O2.
_CODE_BYTES = 12_000
_WRAPPER_BYTES = 260
_SPARSE_BYTES = 260  # of ep_sparse.h's code
_COPY_BYTES = 700  # of a kernel's code, where other layers run the same kernel on plain weights


@dataclass(frozen=True, eq=False)
class _Form:
    """Another call for a layer: what it saves and costs, and the code that it needs, by a key."""

    call: KernelCall
    saved_bytes: int
    instructions: int
    code: object
    code_bytes: int


def code_weights(
    views: Sequence[NodeView], lowered: Sequence[Lowered], optimize: str
) -> tuple[Lowered, ...]:
    """Replace calls by variants with coded weights, or without zeros, where that pays.

    Args:
        optimize: as in Isa.
    """
    forms = [_forms(call, optimize) for call in lowered]
    if not any(forms):
        return tuple(lowered)
    image = _CODE_BYTES + sum(_const_bytes(call) for call in lowered)
    work = sum(_work(view, call) for view, call in zip(views, lowered, strict=True))
    limits = _Limits(image, max(work, 1.0), optimize)
    result = list(lowered)
    there: set[object] = set()  # code that is in the image already
    for positions in _by_kernel(lowered, forms).values():
        best = {p: max(forms[p], key=limits.gain, default=None) for p in positions}
        chosen = {p: f for p, f in best.items() if f is not None and limits.gain(f) > 0}
        copies = _WRAPPER_BYTES + (_COPY_BYTES if len(chosen) < len(positions) else 0)
        new = {form.code: form.code_bytes for form in chosen.values()}
        copies += sum(size for code, size in new.items() if code not in there)
        won = sum(limits.gain(form) for form in chosen.values())
        if chosen and won > limits.bytes(copies):
            there |= set(new)
            for position, form in chosen.items():
                result[position] = form.call
    return tuple(result)


@dataclass(frozen=True)
class _Limits:
    """The whole that gains are shares of: bytes of the image, instructions of an inference."""

    image: int
    work: float
    optimize: str

    def bytes(self, count: int) -> float:
        """What bytes are worth."""
        if self.optimize == "size":
            return count
        return count / self.image if self.optimize == "balanced" else 0.0

    def gain(self, form: _Form) -> float:
        """What a variant wins, without the code that it needs."""
        cost = 0.0 if self.optimize == "size" else form.instructions / self.work
        return self.bytes(form.saved_bytes) - cost


def _forms(call: Lowered, optimize: str) -> tuple[_Form, ...]:
    """The other calls that a layer may have."""
    if not isinstance(call, KernelCall):
        return ()
    found = []
    if optimize in ("size", "balanced"):
        found += [
            _Form(c.call, c.saved_bytes, c.instructions, c.coding.kind, c.coding.code_bytes)
            for c in coded_calls(call)
        ]
    if call.sparse is not None:
        made = call.sparse
        found.append(
            _Form(made.call, made.saved_bytes, made.instructions, made.call.header, _SPARSE_BYTES)
        )
    return tuple(found)


def _by_kernel(
    lowered: Sequence[Lowered], forms: Sequence[tuple[_Form, ...]]
) -> dict[str, list[int]]:
    """The positions of calls with weights, by kernel, of kernels that have another form."""
    found: dict[str, list[int]] = {}
    for position, call in enumerate(lowered):
        if isinstance(call, KernelCall) and any(isinstance(a, Const) for a in call.args):
            found.setdefault(call.function, []).append(position)
    return {
        function: positions
        for function, positions in found.items()
        if any(forms[position] for position in positions)
    }


def _work(view: NodeView, call: Lowered) -> float:
    if not isinstance(call, KernelCall):
        return 0.0
    outputs = sum(tensor.elements for tensor in view.outputs)
    return plain_instructions(call.function, call.macs, outputs)


def _const_bytes(call: Lowered) -> int:
    if not isinstance(call, KernelCall):
        return 0
    return sum(arg.data.nbytes for arg in call.args if isinstance(arg, Const))
