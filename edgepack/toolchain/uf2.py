"""UF2 files: what the boot loaders of many boards take as a copy onto a USB drive.

The format is Microsoft's UF2 specification (github.com/microsoft/uf2, README, "File format"):
blocks of 512 bytes, each with its own flash address, so that they may arrive in any order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgepack.errors import BuildError

_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_BLOCK = 512
_HEADER = struct.Struct("<8I")
_NOT_MAIN_FLASH = 0x0001
_FAMILY_PRESENT = 0x2000
_MOST_DATA = 476
# The specification calls 256 always right; the ROM of the RP2040 takes nothing else.
PAYLOAD = 256


@dataclass(frozen=True)
class Uf2:
    """The contents of a UF2 file: the family id, or None, and the bytes at each block's address."""

    family: int | None
    blocks: tuple[tuple[int, bytes], ...]


def write_uf2(chunks: Iterable[tuple[int, bytes]], family: int) -> bytes:
    """A UF2 file with the bytes of an image, in whole pages of 256 bytes.

    Args:
        chunks: (address, bytes); what a page lacks is filled with 0xFF, erased flash.
        family: the family id that the boot loader accepts.
    """
    pages: dict[int, bytearray] = {}
    for address, data in chunks:
        for offset, byte in enumerate(data, start=address):
            page = pages.setdefault(offset // PAYLOAD, bytearray(b"\xff" * PAYLOAD))
            page[offset % PAYLOAD] = byte
    return b"".join(
        _block(page * PAYLOAD, bytes(pages[page]), number, len(pages), family)
        for number, page in enumerate(sorted(pages))
    )


def _block(address: int, data: bytes, number: int, count: int, family: int) -> bytes:
    header = _HEADER.pack(*_MAGIC, _FAMILY_PRESENT, address, len(data), number, count, family)
    body = data.ljust(_MOST_DATA, b"\0")
    return header + body + struct.pack("<I", _MAGIC_END)


def read_uf2(data: bytes) -> Uf2:
    """Parse and check a UF2 file.

    Raises:
        BuildError: it breaks the specification; the block and what is wrong with it are named.
    """
    if not data or len(data) % _BLOCK:
        raise BuildError(f"a UF2 file has blocks of {_BLOCK} bytes, this one has {len(data)} bytes")
    count = len(data) // _BLOCK
    families: set[int | None] = set()
    blocks: list[tuple[int, bytes]] = []
    for number in range(count):
        raw = data[number * _BLOCK : (number + 1) * _BLOCK]
        problem = "; ".join(_problems(raw, number, count))
        if problem:
            raise BuildError(f"UF2 block {number}: {problem}")
        _, _, flags, address, size, _, _, family = _HEADER.unpack_from(raw)
        families.add(family if flags & _FAMILY_PRESENT else None)
        if not flags & _NOT_MAIN_FLASH:
            blocks.append((address, raw[_HEADER.size : _HEADER.size + size]))
    if len(families) > 1:
        raise BuildError(f"the UF2 file mixes families: {sorted(map(str, families))}")
    return Uf2(families.pop(), tuple(blocks))


def _problems(raw: bytes, number: int, count: int) -> Iterator[str]:
    first, second, _, address, size, block, blocks, _ = _HEADER.unpack_from(raw)
    if (first, second) != _MAGIC:
        yield f"its magic is {first:#010x} {second:#010x}, not {_MAGIC[0]:#010x} {_MAGIC[1]:#010x}"
    if struct.unpack_from("<I", raw, _BLOCK - 4)[0] != _MAGIC_END:
        yield f"it does not end with {_MAGIC_END:#010x}"
    if size > _MOST_DATA or size % 4 or address % 4:
        yield f"{size} bytes for 0x{address:08X}: at most {_MOST_DATA}, both in multiples of 4"
    if (block, blocks) != (number, count):
        yield f"it says {block} of {blocks}, not {number} of {count}"
