"""Which layers store their weights coded: bytes of flash against instructions.

`size` codes whatever gets smaller, `balanced` what shrinks the image by a larger share than it adds
instructions; `speed` and `ram` (a tile takes scratch memory) code nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.coded import Coded, coded_calls
from edgepack.ops.shared.kernel import Const, KernelCall, Lowered, Units

# Bytes of an image beside its constants, and of the code around a decoder: Cortex-M4, -O2.
_CODE_BYTES = 12_000
_WRAPPER_BYTES = 260
_COPY_BYTES = 700  # of a kernel's code, where other layers run the same kernel on plain weights
# Instructions per multiply-accumulate and per output element, for the share that decoding adds.
_MAC_COST = 1.0
_OUTPUT_COST = 20


def code_weights(
    views: Sequence[NodeView], lowered: Sequence[Lowered], optimize: str
) -> tuple[Lowered, ...]:
    """Replace calls by variants with coded weights where that pays.

    Args:
        optimize: as in Isa.
    """
    if optimize not in ("size", "balanced"):
        return tuple(lowered)
    image = _CODE_BYTES + sum(_const_bytes(call) for call in lowered)
    work = sum(_work(view, call) for view, call in zip(views, lowered, strict=True))
    limits = _Limits(image, max(work, 1.0), optimize)
    result = list(lowered)
    kinds: set[int] = set()  # whose decoder is in the image already
    for positions in _by_kernel(lowered).values():
        best = {p: _best(lowered[p], limits) for p in positions}
        chosen = {p: coded for p, coded in best.items() if coded is not None}
        copies = _WRAPPER_BYTES + (_COPY_BYTES if len(chosen) < len(positions) else 0)
        new = {c.coding.kind: c.coding.code_bytes for c in chosen.values()}
        copies += sum(size for kind, size in new.items() if kind not in kinds)
        won = sum(limits.gain(c) for c in chosen.values())
        if chosen and won > limits.bytes(copies):
            kinds |= set(new)
            for position, coded in chosen.items():
                result[position] = coded.call
    return tuple(result)


@dataclass(frozen=True)
class _Limits:
    """The whole that gains are shares of: bytes of the image, instructions of an inference."""

    image: int
    work: float
    optimize: str

    def bytes(self, count: int) -> float:
        """What bytes are worth."""
        return count if self.optimize == "size" else count / self.image

    def gain(self, coded: Coded) -> float:
        """What a variant wins, without the code that it needs."""
        cost = 0.0 if self.optimize == "size" else coded.instructions / self.work
        return self.bytes(coded.saved_bytes) - cost


def _by_kernel(lowered: Sequence[Lowered]) -> dict[str, list[int]]:
    """The positions of calls that could be coded, by kernel."""
    found: dict[str, list[int]] = {}
    for position, call in enumerate(lowered):
        if isinstance(call, KernelCall) and any(isinstance(a, Const) for a in call.args):
            found.setdefault(call.function, []).append(position)
    return {
        function: positions
        for function, positions in found.items()
        if any(_units(lowered[p]) is not None for p in positions)
    }


def _units(call: Lowered) -> Units | None:
    return call.units if isinstance(call, KernelCall) else None


def _best(call: Lowered, limits: _Limits) -> Coded | None:
    """The variant that wins most, if any wins."""
    assert isinstance(call, KernelCall)
    found = max(coded_calls(call), key=limits.gain, default=None)
    return found if found is not None and limits.gain(found) > 0 else None


def _work(view: NodeView, call: Lowered) -> float:
    if not isinstance(call, KernelCall):
        return 0.0
    return _MAC_COST * call.macs + _OUTPUT_COST * sum(t.elements for t in view.outputs)


def _const_bytes(call: Lowered) -> int:
    if not isinstance(call, KernelCall):
        return 0
    return sum(arg.data.nbytes for arg in call.args if isinstance(arg, Const))
