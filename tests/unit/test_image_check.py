"""check_image on images made by hand: each fault that it looks for, one at a time."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack.errors import BuildError
from edgepack.targets import load_target
from edgepack.toolchain import Image, check_image
from edgepack.toolchain.elf import Section

TARGET = load_target("netduinoplus2")
FLASH, SRAM = 0x0800_0000, 0x2000_0000
STACK = TARGET.stack.bytes
RESET, FAULT, UART = FLASH + 0x400, FLASH + 0x500, FLASH + 0x600
UART_VECTOR = 16 + 37
COUNT = 16 + 71 + 1


def table(**changed: int) -> bytes:
    """A vector table; `v53=0` changes vector 53."""
    words = [0] * COUNT
    words[0:2] = SRAM + STACK, RESET | 1
    words[2:16] = [FAULT | 1] * 14
    words[UART_VECTOR] = UART | 1
    for name, value in changed.items():
        words[int(name[1:])] = value
    return struct.pack(f"<{COUNT}I", *words)


def image(vectors: bytes | None = None, at: int = FLASH, entry: int = RESET | 1) -> Image:
    data = table() if vectors is None else vectors
    return Image(
        path=Path("firmware.elf"),
        machine="EM_ARM",
        entry=entry,
        sections=(
            Section(".ep_vectors", at, at, len(data), data),
            Section(".text", FLASH + 0x400, FLASH + 0x400, 0x1000, bytes(0x1000)),
            Section(".ep_stack", SRAM, None, STACK, b""),
            Section(".data", SRAM + STACK, FLASH + 0x1400, 0x100, bytes(0x100)),
            Section(".bss", SRAM + STACK + 0x100, None, 0x200, b""),
        ),
        symbols={
            "ep_ld_stack_high": (SRAM + STACK, 0),
            "ep_reset_handler": (RESET | 1, 32),
            "ep_port_uart_irq": (UART | 1, 32),
        },
    )


def with_section(made: Image, name: str, **changes: int) -> Image:
    sections = [
        Section(
            s.name,
            changes.get("address", s.address),
            changes.get("load", s.load) if s.load is not None else None,
            changes.get("size", s.size),
            s.data,
        )
        if s.name == name
        else s
        for s in made.sections
    ]
    return replace(made, sections=tuple(sections))


def test_a_sound_image_passes() -> None:
    check_image(image(), TARGET)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (image(table(v0=SRAM + STACK + 4)), "stack pointer 0x20002004 is not in RAM"),
        (image(table(v0=FLASH)), "stack pointer 0x08000000 is not in RAM"),
        (image(table(v0=SRAM + 0x1000)), "vector 0 is 0x20001000, not ep_ld_stack_high"),
        (image(table(v1=RESET)), "vector 1 is 0x08000400, which is not Thumb code in flash"),
        (image(table(v1=FAULT | 1), entry=FAULT | 1), "vector 1 is 0x08000501, not ep_reset_h"),
        (image(table(v3=SRAM | 1)), "vector 3 is 0x20000001, which is not Thumb code in flash"),
        (image(table(v53=0)), "vector 53 is 0x00000000, not ep_port_uart_irq"),
        (image(table()[: 4 * 40]), "the vector table ends before vector 53, ep_port_uart_irq"),
        (image(table()[:32]), "the vector table has 8 entries, at least 16 are needed"),
        (image(entry=FAULT | 1), "the entry 0x08000501 is not the reset vector"),
        (image(at=FLASH + 0x100), "88 entries at 0x08000100 needs multiples of 512"),
        (with_section(image(), ".data", load=FLASH + 0x1300), ".text and .data overlap .* load"),
        (with_section(image(), ".data", load=SRAM), ".data loads at 0x20000000, .* not flash"),
        (with_section(image(), ".bss", address=SRAM), "overlap where they run, at 0x20000000"),
        (with_section(image(), ".bss", size=0x20000), ".bss runs at .*, outside the memory"),
        (replace(image(), machine="EM_RISCV"), "it is EM_RISCV, not EM_ARM"),
    ],
)
def test_each_fault_is_named(spoilt: Image, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        check_image(spoilt, TARGET)
