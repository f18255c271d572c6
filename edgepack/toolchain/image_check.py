"""Checks a linked image before anything is flashed or emulated."""

from __future__ import annotations

import struct

from edgepack.errors import BuildError
from edgepack.targets import Target
from edgepack.toolchain.boot_block import check_boot_block
from edgepack.toolchain.elf import Image, Section

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
        problems += _check_vectors(vectors, target)
    elif not _inside(target, image.entry, 4, "flash"):
        problems.append(f"the entry 0x{image.entry:08X} is not in flash")
    return problems


def _check_vectors(vectors: Section, target: Target) -> list[str]:
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
    return problems
