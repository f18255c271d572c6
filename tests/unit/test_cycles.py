"""The cycle model: decoding, the rules of the manuals, and the sum over blocks."""

from __future__ import annotations

import pytest

from edgepack.cycles.count import Block, cycles, instructions, read_runs, straight_line
from edgepack.cycles.decode import Instruction, classify, parse
from edgepack.cycles.tables import TABLES, Class
from edgepack.errors import ProjectError

M4, M3, M0, M55 = (TABLES[f"cortex-{c}"] for c in ("m4", "m3", "m0plus", "m55"))


def _code(*lines: str) -> dict[int, Instruction]:
    """Instructions from `mnemonic operands`, four bytes each from address 0."""
    text = "\n".join(
        f" {4 * i:x}:\t" + line.replace(" ", "\t", 1) for i, line in enumerate([*lines, "nop"])
    )
    listing = parse(text)
    del listing[4 * len(lines)]
    return listing


def _block(*lines: str) -> list[Instruction]:
    return list(_code(*lines).values())


@pytest.mark.parametrize(
    ("mnemonic", "operands", "kind"),
    [
        ("add.w", "r0, r1, r2", Class.ALU),
        ("bic", "r0, r1", Class.ALU),
        ("bne.n", "8000 <f>", Class.BRANCH),
        ("ble.w", "8000 <f>", Class.BRANCH),
        ("blt.n", "8000 <f>", Class.BRANCH),
        ("bl", "8000 <f>", Class.CALL),
        ("blne", "8000 <f>", Class.CALL),
        ("bxeq", "lr", Class.BRANCH),
        ("cbnz", "r3, 8000 <f>", Class.BRANCH),
        ("tbh", "[pc, r3, lsl #1]", Class.TABLE_BRANCH),
        ("muls", "r0, r1", Class.MULTIPLY),
        ("mla", "r0, r1, r2, r3", Class.MULTIPLY_ADD),
        ("smull", "r0, r1, r2, r3", Class.MULTIPLY_LONG),
        ("smlal", "r0, r1, r2, r3", Class.MULTIPLY_ADD_LONG),
        ("smlalbb", "r0, r1, r2, r3", Class.MULTIPLY_DSP),
        ("smlad", "r0, r1, r2, r3", Class.MULTIPLY_DSP),
        ("smmlar", "r0, r1, r2, r3", Class.MULTIPLY_DSP),
        ("sdiv", "r0, r1, r2", Class.DIVIDE),
        ("ldrsb.w", "r0, [r1]", Class.LOAD),
        ("ldrd", "r0, r1, [r2]", Class.LOAD_PAIR),
        ("ldmia.w", "sp!, {r4, pc}", Class.LOAD_MULTIPLE),
        ("str", "r0, [r1, #4]", Class.STORE),
        ("strb", "r0, [r1, r2]", Class.STORE_INDEXED),
        ("push", "{r4, lr}", Class.STORE_MULTIPLE),
        ("vldrb.u8", "q0, [r1]", Class.VECTOR_MEMORY),
        ("vmladava.s8", "r0, q0, q1", Class.VECTOR),
        ("vldr", "s0, [r1]", Class.LOAD),
        ("vfma.f32", "s0, s1, s2", Class.FP_MULTIPLY_ADD),
        ("vadd.f32", "s0, s1, s2", Class.FP),
        ("letp", "lr, 8000 <f>", Class.LOOP_END),
        ("dls", "lr, r3", Class.ALU),
    ],
)
def test_classes(mnemonic: str, operands: str, kind: Class) -> None:
    assert classify(mnemonic, operands) is kind


# The examples of "Load/store timings" in the manuals of Cortex-M3 and Cortex-M4.
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("ldr r0, [r1]", "ldr r1, [r2]"), 3),
        (("ldr r0, [r1, r2]", "str r0, [r3, #20]"), 3),
        (("ldr r0, [r1, r2]", "str r1, [r3, r2]"), 3),
        (("ldr r0, [r1, r5]", "ldr r1, [r2]", "ldr r2, [r3, #4]"), 4),
        (("ldr r0, [r1]", "ldr r2, [r0]"), 4),
        (("add r0, r1, r2", "ldr r3, [r0]"), 4),
        (("ldmia.w r0, {r1, r2, r3}",), 4),
        (("pop {r4, r5, pc}",), 5),
        (("ldrd r0, r1, [r2]", "smlad r3, r0, r1, r3"), 4),
    ],
)
def test_rules_of_cortex_m4(lines: tuple[str, ...], expected: int) -> None:
    # a jump's refill is added where it happened, all but one cycle of a load into pc
    assert straight_line(_block(*lines), M4) == expected


def test_vector_beats_overlap() -> None:
    vectors = ("vldrb.u8 q0, [r0]", "vmladava.s8 r2, q0, q1", "vldrb.u8 q1, [r1]")
    assert straight_line(_block(*vectors), M55) == 2 + 1 + 1
    assert straight_line(_block("vadd.i32 q0, q0, q1", "vadd.i32 q1, q0, q1"), M55) == 4


def test_registers_of_lists() -> None:
    push, vpush, ranged = _block("push {r4, r5, lr}", "vpush {d8, d9}", "vpush {s16-s19}")
    assert (push.registers, vpush.registers, ranged.registers) == (3, 4, 4)


def test_a_loop_costs_its_rounds_and_its_jumps() -> None:
    code = _code("subs r0, #1", "bne.n 0 <f>", "bx lr")
    text = "run\n0 8 4 10 9\n8 c 8 1 1\n"
    (run,) = read_runs(text)
    assert instructions(run, code) == 21
    assert cycles(run, code, M4) == 10 * 2 + 9 * 2 + 1 + 2
    assert cycles(run, code, M0) == 10 * 2 + 9 * 1 + 1 + 1
    assert cycles(run, code, M3) == cycles(run, code, M4)


def test_a_low_overhead_loop_is_free() -> None:
    code = _code("vldrb.u8 q0, [r0]", "letp lr, 0 <f>")
    assert cycles([Block(0, 4, 8, 7)], code, M55) == 8 * 2


def test_foreign_code_is_an_error() -> None:
    with pytest.raises(ProjectError, match="0x40"):
        cycles([Block(0x40, 0x40, 1, 0)], _code("nop"), M4)
    with pytest.raises(ProjectError, match="no block count"):
        read_runs("run\n1 2 3\n")


def test_tables_state_their_source() -> None:
    assert all("Arm" in table.source and table.core in table.name for table in TABLES.values())
