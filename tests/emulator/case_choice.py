"""Which cases of the ladder a board runs: enough to execute every kernel that it may use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgepack.emit.program import Program, build_program
from edgepack.frontends.tflite import load_tflite
from edgepack.ops.shared.kernel import Isa, KernelCall
from edgepack.targets import Target
from tests.ops.collection import Collected

# Cases of about this many bytes of model and samples come first: 1x1 images prove little, large
# ones take long.
_LIKED_BYTES = 4000
_SPARE_RAM = 2048  # what the port and the C library need beside arena and stack


def by_size(cases: Iterable[Collected]) -> list[Collected]:
    """The cases with those of a middling size first."""
    return sorted(cases, key=lambda c: abs(_size(c) - _LIKED_BYTES))


def program_of(collected: Collected, isa: Isa) -> Program:
    """What the compile half decides for a case."""
    return build_program(load_tflite(collected.case.model, name="case"), isa)


def kernels_of(program: Program) -> frozenset[str]:
    """The C functions that a program calls."""
    return frozenset(
        call.function
        for graph in program.graphs
        for call in graph.lowered
        if isinstance(call, KernelCall)
    )


def cover(cases: Sequence[Collected], isa: Isa, arena_bytes: int) -> dict[str, Collected]:
    """For every kernel that the cases reach with `isa`, the first case that calls it.

    Args:
        arena_bytes: the most that a case may need.
    """
    found: dict[str, Collected] = {}
    for collected in cases:
        program = program_of(collected, isa)
        if program.arena_bytes <= arena_bytes:
            for kernel in kernels_of(program):
                found.setdefault(kernel, collected)
    return found


def written_for(cases: Iterable[Collected], target: Target) -> Iterator[Collected]:
    """The cases that test kernels of one of the board's features."""
    for collected in cases:
        features = collected.case.isa.features
        if features and features <= set(target.isa):
            yield collected


def largest_arena(target: Target) -> int:
    """Bytes that the arena of a board may have."""
    assert target.ram_bytes is not None
    return target.ram_bytes - target.stack.bytes - _SPARE_RAM


def distinct(cases: Iterable[Collected]) -> list[Collected]:
    """Each case once, in order."""
    return list({id(case): case for case in cases}.values())


def _size(collected: Collected) -> int:
    samples = collected.case.samples
    return len(collected.case.model) + sum(a.nbytes for sample in samples for a in sample)
