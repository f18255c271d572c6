"""Reads what matters from a static library: which symbols it defines, and for which CPU."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import ARMAttributesSection

from edgepack.errors import BuildError

# The archive format is that of the System V ABI, chapter 7: a magic, then members of a 60-byte
# header and their bytes, each padded to an even length. The member "/" is the symbol index.
_MAGIC = b"!<arch>\n"
_HEADER = 60
_INDEX = (b"/", b"/SYM64/")
_ELF = b"\x7fELF"
_HARD_FLOAT = 1  # Tag_ABI_VFP_args of the Arm ABI addenda (IHI 0045): floats go in VFP registers


@dataclass(frozen=True)
class Archive:
    """A static library.

    symbols: the names that it defines.
    machine: the ELF machine of its first object, such as EM_ARM.
    bits: 32 or 64.
    cpu_arch: Tag_CPU_arch of the Arm ABI addenda, or None for another machine.
    hard_float: whether floats are passed in FPU registers, or None for another machine.
    """

    path: Path
    symbols: frozenset[str]
    machine: str
    bits: int
    cpu_arch: int | None
    hard_float: bool | None


def read_archive(path: Path) -> Archive:
    """Read a static library.

    Raises:
        BuildError: it is no archive of ELF objects.
    """
    symbols: frozenset[str] = frozenset()
    try:
        with path.open("rb") as file:
            for name, size in _members(file, path):
                if name in _INDEX:
                    symbols = _index(file.read(size), 8 if name == b"/SYM64/" else 4)
                    continue
                if file.read(4) == _ELF:
                    file.seek(-4, io.SEEK_CUR)
                    return _with_abi(path, symbols, file.read(size))
    except (OSError, ELFError, ValueError, struct.error) as error:
        raise BuildError(f"{path} is damaged: {error}") from error
    raise BuildError(f"{path} is not a static library of ELF objects")


def _members(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int]]:
    """Name and size of each member; the file stands at its first byte."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise BuildError(f"{path} is not a static library (it does not begin with !<arch>)")
    position = len(_MAGIC)
    while len(header := file.read(_HEADER)) == _HEADER:
        size = int(header[48:58])
        yield header[:16].rstrip(), size
        position += _HEADER + size + size % 2
        file.seek(position)


def _index(data: bytes, width: int) -> frozenset[str]:
    count = int.from_bytes(data[:width], "big")
    names = data[width * (count + 1) :].split(b"\0")[:count]
    return frozenset(name.decode("ascii", "replace") for name in names)


def _with_abi(path: Path, symbols: frozenset[str], member: bytes) -> Archive:
    elf = ELFFile(io.BytesIO(member))
    arch, hard = None, None
    attributes = _arm_attributes(elf)
    if attributes is not None:
        arch = attributes.get("TAG_CPU_ARCH", 0)
        hard = attributes.get("TAG_ABI_VFP_ARGS", 0) == _HARD_FLOAT
    return Archive(path, symbols, elf["e_machine"], elf.elfclass, arch, hard)


def _arm_attributes(elf: ELFFile) -> dict[str, int] | None:
    if elf["e_machine"] != "EM_ARM":
        return None
    found: dict[str, int] = {}
    for section in elf.iter_sections():
        if isinstance(section, ARMAttributesSection):
            for subsection in section.iter_subsections():
                for group in subsection.iter_subsubsections():
                    for attribute in group.iter_attributes():
                        if isinstance(attribute.value, int):
                            found[attribute.tag] = attribute.value
    return found
