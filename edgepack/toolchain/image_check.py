"""Checks a linked image before anything is flashed or emulated."""

from __future__ import annotations

import itertools
import struct

from edgepack.errors import BuildError
from edgepack.targets import Target
from edgepack.toolchain.boot_block import check_boot_block
from edgepack.toolchain.elf import Image, Section

_EXCEPTIONS = 16  # of a Cortex-M, in front of the interrupts
_MACHINES = {"arm": "EM_ARM", "rv": "EM_RISCV"}


def check_image(image: Image, target: Target) -> None:
    """Refuse an image that could not start on the target.

    Raises:
        BuildError: what is wrong: another architecture, bytes outside the memory regions,
            or a vector table that does not lead to code.
    """
    if target.layout is None:
        return
    problems = [
        *_check_machine(image, target),
        *_check_addresses(image, target),
        *_check_overlaps(image),
        *_check_entry(image, target),
        *check_boot_block(image, target),
    ]
    if problems:
        raise BuildError(
            f"{image.path.name} is not a sound image for {target.id}: " + "; ".join(problems)
        )


def _check_machine(image: Image, target: Target) -> list[str]:
    wanted = _MACHINES["rv" if target.soc.cpu.arch.startswith("rv") else "arm"]
    return [] if image.machine == wanted else [f"it is {image.machine}, not {wanted}"]


def _inside(target: Target, start: int, size: int, kind: str | None = None) -> bool:
    return any(
        region.origin <= start and start + size <= region.end
        for region in target.memory
        if kind is None or region.kind == kind
    )


def _check_addresses(image: Image, target: Target) -> list[str]:
    problems = []
    for section in image.sections:
        if not _inside(target, section.address, section.size):
            problems.append(
                f"{section.name} runs at 0x{section.address:08X}, outside the memory regions"
            )
        if section.load is not None and not _inside(target, section.load, section.size, "flash"):
            problems.append(f"{section.name} loads at 0x{section.load:08X}, which is not flash")
    return problems


def _check_overlaps(image: Image) -> list[str]:
    """No byte is two sections', neither while the image runs nor where it is loaded."""
    problems = []
    runs = sorted((s.address, s.size, s.name) for s in image.sections)
    loads = sorted((s.load, s.size, s.name) for s in image.sections if s.load is not None)
    for what, spans in (("run", runs), ("load", loads)):
        for (start, size, name), (after, _, other) in itertools.pairwise(spans):
            if start + size > after:
                problems.append(f"{name} and {other} overlap where they {what}, at 0x{after:08X}")
    return problems


def _check_entry(image: Image, target: Target) -> list[str]:
    assert target.layout is not None
    vectors = image.section(".ep_vectors")
    if vectors is None:
        return ["it has no start-up code (section .ep_vectors)"]
    code = target.region(target.layout.code)
    problems = []
    if vectors.address != code.origin:
        problems.append(
            f"the vector table is at 0x{vectors.address:08X}, not at the start of {code.name}"
        )
    if image.machine == "EM_ARM":
        problems += _check_vectors(image, vectors, target)
    elif not _inside(target, image.entry, 4, "flash"):
        problems.append(f"the entry 0x{image.entry:08X} is not in flash")
    return problems


def _check_vectors(image: Image, vectors: Section, target: Target) -> list[str]:
    """ARMv7-M Architecture Reference Manual B1.5.3: initial SP, then handlers with bit 0 set."""
    words = struct.unpack(f"<{len(vectors.data) // 4}I", vectors.data[: len(vectors.data) & ~3])
    if len(words) < 16:
        return [f"the vector table has {len(words)} entries, at least 16 are needed"]
    problems = []
    # the stack is full-descending: its initial value is the first address behind the region
    if not _inside(target, words[0] - 4, 4, "ram") or words[0] % 8:
        problems.append(f"the initial stack pointer 0x{words[0]:08X} is not in RAM")
    for number, handler in enumerate(words[1:], start=1):
        if handler == 0 and number > 3:
            continue
        if not handler & 1 or not _inside(target, handler & ~1, 2, "flash"):
            problems.append(f"vector {number} is 0x{handler:08X}, which is not Thumb code in flash")
    return [
        *problems,
        *_check_alignment(vectors, len(words)),
        *_check_wiring(image, words, target.uart.irq),
    ]


def _check_alignment(vectors: Section, count: int) -> list[str]:
    """VTOR holds multiples of the table's size, rounded up to a power of two, and of 128 bytes
    (ARMv7-M Architecture Reference Manual B1.5.3 and B3.2.5).
    """
    step = max(128, 1 << (4 * count - 1).bit_length())
    if vectors.address % step == 0:
        return []
    return [
        f"the vector table of {count} entries at 0x{vectors.address:08X} needs multiples of {step}"
    ]


def _check_wiring(image: Image, words: tuple[int, ...], irq: int | None) -> list[str]:
    """Stack pointer, reset and UART vector are what the symbols of the same image say."""
    wanted = [(0, "ep_ld_stack_high", 0), (1, "ep_reset_handler", 1)]
    if irq is not None:
        wanted.append((_EXCEPTIONS + irq, "ep_port_uart_irq", 1))
    problems = []
    for number, name, thumb in wanted:
        symbol = image.symbols.get(name)
        if symbol is None:
            continue
        if number >= len(words):
            problems.append(f"the vector table ends before vector {number}, {name}")
        elif words[number] != symbol[0] | thumb:
            problems.append(f"vector {number} is 0x{words[number]:08X}, not {name}")
    if image.entry != words[1]:
        problems.append(f"the entry 0x{image.entry:08X} is not the reset vector")
    return problems
