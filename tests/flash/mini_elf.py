"""A sound ELF image for a Cortex-M board, written by hand: no compiler is needed."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from pathlib import Path

from edgepack.manifest import Manifest
from edgepack.targets import Kind, Target, load_target
from edgepack.targets.board import FlashMethod
from tests.emulator.echo_project import write_project

CODE_BYTES = 3000
_EHDR, _PHDR, _SHDR = "<16s2H5I6H", "<8I", "<10I"


def code(seed: int = 1, count: int = CODE_BYTES) -> bytes:
    """Bytes that no test can mistake for erased or zeroed memory."""
    return random.Random(seed).randbytes(count)


def write_elf(path: Path, target: Target, text: bytes) -> bytes:
    """Write an image of vector table and text; returns what belongs into flash."""
    assert target.layout is not None
    flash = target.region(target.layout.code)
    stack = target.region(target.layout.stack)
    reset = flash.origin + 64 + 1
    vectors = struct.pack("<16I", stack.end & ~7, *([reset] * 15))
    names = b"\0.ep_vectors\0.text\0.shstrtab\0"
    at = struct.calcsize(_EHDR) + struct.calcsize(_PHDR)
    body = vectors + text
    table = at + len(body) + len(names)
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = struct.pack(_EHDR, ident, 2, 40, 1, reset, 52, table, 0x05000000, 52, 32, 1, 40, 4, 3)
    segment = struct.pack(_PHDR, 1, at, flash.origin, flash.origin, len(body), len(body), 5, 4)
    alloc, progbits, strtab = 0x6, 1, 3
    sections = [
        (0,) * 10,
        (1, progbits, alloc, flash.origin, at, len(vectors), 0, 0, 4, 0),
        (13, progbits, alloc, flash.origin + 64, at + 64, len(text), 0, 0, 4, 0),
        (19, strtab, 0, 0, at + len(body), len(names), 0, 0, 1, 0),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = b"".join(struct.pack(_SHDR, *section) for section in sections)
    path.write_bytes(header + segment + body + names + packed)
    return body


def real_board(like: str, **tools: Mapping[str, object]) -> Target:
    """A board that is plugged in, with a known board's chip, and these flash tools in order."""
    target = load_target(like)
    methods = tuple(
        FlashMethod(tool=name, options=dict(options), source="this test only")
        for name, options in tools.items()
    )
    changes = {"kind": Kind.HARDWARE, "emulator": None, "flash": methods}
    return Target(target.board.model_copy(update=changes), target.soc)


def write_board_project(folder: Path, target: Target, text: bytes | None = None) -> Manifest:
    """A project directory with an image for the board."""
    manifest = write_project(folder, target, "").model_copy(update={"image": "build/firmware.elf"})
    write_elf(folder / "build" / "firmware.elf", target, code() if text is None else text)
    return manifest
