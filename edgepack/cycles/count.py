"""Block counts x a core's table -> cycles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgepack.cycles.decode import Instruction, Listing
from edgepack.cycles.tables import Class, CycleTable
from edgepack.errors import ProjectError

_MEMORY = frozenset((Class.LOAD, Class.STORE, Class.STORE_INDEXED))


@dataclass(frozen=True)
class Block:
    """How often a basic block ran: addresses of its first and last instruction.

    taken: how often what ran next was not the code behind it.
    """

    first: int
    last: int
    count: int
    taken: int


def read_runs(text: str) -> tuple[tuple[Block, ...], ...]:
    """The runs in what firmware/emulator/ep_block_counts.c wrote, oldest first.

    Raises:
        ProjectError: a line that it does not write.
    """
    runs: list[list[Block]] = []
    for line in text.splitlines():
        if line == "run":
            runs.append([])
            continue
        fields = line.split()
        if len(fields) != 5 or not runs:
            raise ProjectError(f"the emulator's plugin wrote {line!r}, which is no block count")
        first, _, last = (int(field, 16) for field in fields[:3])
        runs[-1].append(Block(first, last, int(fields[3]), int(fields[4])))
    return tuple(tuple(run) for run in runs)


def instructions(run: Iterable[Block], listing: Listing) -> int:
    """How many instructions a run executed."""
    return sum(block.count * len(tuple(_of(block, listing))) for block in run)


def cycles(run: Iterable[Block], listing: Listing, table: CycleTable) -> float:
    """The cycles of a run by the model.

    Raises:
        ProjectError: code ran that the listing does not have.
    """
    total = 0.0
    for block in run:
        inside = tuple(_of(block, listing))
        loop = inside[-1].kind is Class.LOOP_END and not table.cycles.get(Class.LOOP_END, 1.0)
        total += block.count * straight_line(inside, table)
        total += 0.0 if loop else block.taken * table.taken
    return total


def straight_line(block: Sequence[Instruction], table: CycleTable) -> float:
    """The cycles of a block that is run through once, its last branch not taken."""
    total = 0.0
    before: Instruction | None = None
    for instruction in block:
        total += _alone(instruction, table)
        if before is not None:
            total += _beside(before, instruction, table)
        before = instruction
    return total


def _alone(instruction: Instruction, table: CycleTable) -> float:
    cost = table.cycles.get(instruction.kind, 1.0) + instruction.registers
    return cost + (table.load_pc if instruction.loads_pc else 0.0)


def _beside(before: Instruction, now: Instruction, table: CycleTable) -> float:
    """What the instruction before adds to, or takes off, the cycles of this one."""
    needs_it = before.target is not None and before.target in now.address
    if before.kind is Class.LOAD and now.kind in _MEMORY and not needs_it:
        # a store with a constant offset takes one cycle in any case
        return -1.0 if table.pipelined and now.kind is not Class.STORE else 0.0
    if needs_it and before.kind not in _MEMORY:
        return table.address_stall
    kinds = {before.kind, now.kind}
    return -table.overlap if kinds == {Class.VECTOR, Class.VECTOR_MEMORY} else 0.0


def _of(block: Block, listing: Listing) -> Iterator[Instruction]:
    address = block.first
    while address <= block.last:
        instruction = listing.get(address)
        if instruction is None:
            raise ProjectError(
                f"the emulator ran code at 0x{address:x}, which objdump does not list"
            )
        yield instruction
        address = instruction.following
