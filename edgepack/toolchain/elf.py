"""Reads what matters from an ELF file: segments, sections, symbols."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section as ElfSection
from elftools.elf.sections import SymbolTableSection
from elftools.elf.segments import Segment

from edgepack.errors import ProjectError

_SHF_ALLOC = 0x2


@dataclass(frozen=True)
class Section:
    """An allocated section. `load` is where its bytes lie in flash, or None for .bss."""

    name: str
    address: int
    load: int | None
    size: int
    data: bytes


@dataclass(frozen=True)
class Image:
    """What an ELF file says about itself. `symbols` maps names to (address, size in bytes)."""

    path: Path
    machine: str
    entry: int
    sections: tuple[Section, ...]
    symbols: dict[str, tuple[int, int]]

    def section(self, name: str) -> Section | None:
        """The section of that name, or None."""
        return next((s for s in self.sections if s.name == name), None)

    def symbol_at(self, address: int) -> str | None:
        """The function or object that covers an address, such as a fault's pc."""
        for name, (start, size) in self.symbols.items():
            if start & ~1 <= address < (start & ~1) + size:
                return name
        return None


def read_image(path: Path) -> Image:
    """Read an ELF file.

    Raises:
        ProjectError: it is missing or not ELF.
    """
    try:
        with path.open("rb") as file:
            return _read(path, ELFFile(file))
    except FileNotFoundError as error:
        raise ProjectError(
            f"{path} does not exist", next_step="edgepack build MODEL --target TARGET --out DIR"
        ) from error
    except (ELFError, ValueError, KeyError) as error:
        raise ProjectError(f"{path} is not an ELF image: {error}") from error


def _read(path: Path, elf: ELFFile) -> Image:
    segments = [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_memsz"] > 0]
    sections = []
    for section in elf.iter_sections():
        if not section["sh_flags"] & _SHF_ALLOC or section["sh_size"] == 0:
            continue
        nobits = section["sh_type"] == "SHT_NOBITS"
        sections.append(
            Section(
                name=section.name,
                address=section["sh_addr"],
                load=None if nobits else _load_address(segments, section),
                size=section["sh_size"],
                data=b"" if nobits else section.data(),
            )
        )
    table = elf.get_section_by_name(".symtab")
    symbols = {}
    if isinstance(table, SymbolTableSection):
        for symbol in table.iter_symbols():
            if symbol.name and symbol["st_shndx"] != "SHN_UNDEF":
                symbols[symbol.name] = (symbol["st_value"], symbol["st_size"])
    return Image(path, elf["e_machine"], elf["e_entry"], tuple(sections), symbols)


def _load_address(segments: list[Segment], section: ElfSection) -> int:
    """A section's physical address, from the segment that its file bytes are part of."""
    offset = section["sh_offset"]
    for segment in segments:
        start = segment["p_offset"]
        if start <= offset < start + segment["p_filesz"]:
            return int(segment["p_paddr"] + offset - start)
    return int(section["sh_addr"])
