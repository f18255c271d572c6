"""Cycles per instruction class and core, each table with its source and what it leaves out.

There are tables for the cores whose manuals state the cycles of instructions. Those of Cortex-M7
and Cortex-M33 do not, and RV32IMAC is no core but an instruction set: `TABLES` lacks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MODEL_VERSION = 1  # goes up with every change of a table or of edgepack/cycles/count.py


class Class(StrEnum):
    """What an instruction is to a cycle table."""

    ALU = "alu"
    MULTIPLY = "multiply"  # 32 bits
    MULTIPLY_ADD = "multiply-add"
    MULTIPLY_LONG = "multiply, 64 bits"
    MULTIPLY_ADD_LONG = "multiply-add, 64 bits"
    MULTIPLY_DSP = "multiply of halfwords, or its upper half"
    DIVIDE = "divide"
    LOAD = "load"
    STORE = "store"
    STORE_INDEXED = "store, register offset"
    LOAD_PAIR = "load of two"
    STORE_PAIR = "store of two"
    LOAD_MULTIPLE = "load multiple"
    STORE_MULTIPLE = "store multiple"
    BRANCH = "branch"
    CALL = "call"
    TABLE_BRANCH = "table branch"
    LOOP_END = "loop end"
    FP = "floating point"
    FP_MULTIPLY_ADD = "floating point multiply-add"
    FP_DIVIDE = "floating point divide or root"
    VECTOR = "vector"
    VECTOR_MEMORY = "vector load or store"
    SYSTEM = "system"


@dataclass(frozen=True)
class CycleTable:
    """The model of one core.

    Attributes:
        core: as targets/soc calls it.
        source: where the figures come from, and what is assumed instead.
        cycles: per class; what is missing counts 1. Multiple loads and stores add 1 per register.
        taken: added when the next block is not the one behind (pipeline refill).
        load_pc: added when a load writes the program counter.
        pipelined: a load or store right behind a load takes one cycle less, unless it needs the
            loaded value as its address.
        address_stall: added when an address comes from the instruction right before.
        overlap: of two vector instructions in a row, one for memory and one not, the second takes
            so many cycles less.
        machine: what objdump has to be told to decode all instructions, or None.
    """

    core: str
    source: str
    cycles: Mapping[Class, float]
    taken: float
    load_pc: float = 0.0
    pipelined: bool = False
    address_stall: float = 0.0
    overlap: float = 0.0
    machine: str | None = None

    @property
    def name(self) -> str:
        """What a report calls the model."""
        return f"edgepack {self.core} model {MODEL_VERSION}"


_DIVIDE = 7.0  # 2 to 12 by the operands; the middle

_ARMV7M = {
    Class.DIVIDE: _DIVIDE,
    Class.LOAD: 2.0,
    Class.STORE_INDEXED: 2.0,
    Class.LOAD_PAIR: 3.0,
    Class.STORE_PAIR: 3.0,
    Class.LOAD_MULTIPLE: 1.0,
    Class.STORE_MULTIPLE: 1.0,
    Class.TABLE_BRANCH: 4.0,
    Class.SYSTEM: 2.0,
}

_TABLES = (
    CycleTable(
        core="cortex-m4",
        source="Arm DDI 0439, Cortex-M4 TRM, chapter 3: instruction set summary and load/store "
        "timings; P = 2 of 1 to 3, divide 7 of 2 to 12; memory without wait states",
        cycles={**_ARMV7M, Class.FP_MULTIPLY_ADD: 3.0, Class.FP_DIVIDE: 14.0},
        taken=2.0,
        load_pc=1.0,
        pipelined=True,
        address_stall=1.0,
    ),
    CycleTable(
        core="cortex-m3",
        source="Arm DDI 0337, Cortex-M3 TRM, chapter 3: instruction set summary and load/store "
        "timings; P = 2 of 1 to 3, divide 7 of 2 to 12, long multiply 4 of 3 to 5, long "
        "multiply-add 5.5 of 4 to 7; memory without wait states",
        cycles={
            **_ARMV7M,
            Class.MULTIPLY_ADD: 2.0,
            Class.MULTIPLY_LONG: 4.0,
            Class.MULTIPLY_ADD_LONG: 5.5,
        },
        taken=2.0,
        load_pc=1.0,
        pipelined=True,
        address_stall=1.0,
    ),
    CycleTable(
        core="cortex-m0plus",
        source="Arm DDI 0484, Cortex-M0+ TRM, chapter 3: instruction set summary; the multiplier "
        "that takes one cycle (an implementation may have the one that takes 32); memory without "
        "wait states",
        cycles={
            Class.LOAD: 2.0,
            Class.STORE: 2.0,
            Class.STORE_INDEXED: 2.0,
            Class.LOAD_MULTIPLE: 1.0,
            Class.STORE_MULTIPLE: 1.0,
            Class.CALL: 2.0,
            Class.SYSTEM: 3.0,
        },
        taken=1.0,
        load_pc=1.0,
    ),
    CycleTable(
        core="cortex-m55",
        source="coarse: two beats of four a cycle (Arm 101051, Cortex-M55 TRM) and beats of a "
        "memory and an arithmetic instruction overlapping (Arm DDI 0553, Armv8-M ARM, beat-wise "
        "execution); scalar instructions, dual issue and stalls are assumed, not published: 1 "
        "cycle each, 2 more for a taken branch but none for the end of a low-overhead loop",
        cycles={
            Class.DIVIDE: _DIVIDE,
            Class.LOAD_MULTIPLE: 0.0,
            Class.STORE_MULTIPLE: 0.0,
            Class.LOOP_END: 0.0,
            Class.FP_DIVIDE: 14.0,
            Class.VECTOR: 2.0,
            Class.VECTOR_MEMORY: 2.0,
        },
        taken=2.0,
        overlap=1.0,
        machine="armv8.1-m.main",
    ),
)

TABLES: Mapping[str, CycleTable] = {table.core: table for table in _TABLES}
