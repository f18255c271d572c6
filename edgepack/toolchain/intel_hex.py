"""Intel HEX files.

The format is Intel's "Hexadecimal Object File Format Specification", revision A, 1988: lines of
length, 16-bit address, type, data and a checksum that makes the sum of all bytes 0.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgepack.errors import BuildError

_DATA, _END, _HIGH_ADDRESS, _START = 0, 1, 4, 5
_LINE_BYTES = 16


def write_hex(chunks: Iterable[tuple[int, bytes]], entry: int | None = None) -> str:
    """An Intel HEX file with the bytes of an image.

    Args:
        chunks: (address, bytes), below 2^32.
        entry: the address at which execution starts, or None to leave it out.
    """
    lines: list[str] = []
    high = 0
    for address, data in sorted(chunks):
        position = 0
        while position < len(data):
            at = address + position
            if at >> 16 != high:
                high = at >> 16
                lines.append(_line(0, _HIGH_ADDRESS, high.to_bytes(2, "big")))
            # a line must not run over the end of its 64 KiB
            size = min(_LINE_BYTES, len(data) - position, 0x10000 - (at & 0xFFFF))
            lines.append(_line(at & 0xFFFF, _DATA, data[position : position + size]))
            position += size
    if entry is not None:
        lines.append(_line(0, _START, entry.to_bytes(4, "big")))
    lines.append(_line(0, _END, b""))
    return "\n".join(lines) + "\n"


def _line(address: int, kind: int, data: bytes) -> str:
    body = bytes((len(data), address >> 8, address & 0xFF, kind)) + data
    return ":" + (body + bytes((-sum(body) & 0xFF,))).hex().upper()


def read_hex(text: str) -> tuple[tuple[int, bytes], ...]:
    """The (address, bytes) of each data line, in the order of the file.

    Raises:
        BuildError: a line is malformed or its checksum is wrong, or the end record is missing.
    """
    found: list[tuple[int, bytes]] = []
    high = 0
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            body = bytes.fromhex(line.removeprefix(":"))
        except ValueError:
            body = b""
        if not line.startswith(":") or len(body) < 5 or len(body) != body[0] + 5:
            raise BuildError(f"Intel HEX line {number} is malformed: {line[:60]!r}")
        if sum(body) & 0xFF:
            raise BuildError(f"Intel HEX line {number} has a wrong checksum: {line[:60]!r}")
        kind, data = body[3], body[4:-1]
        if kind == _END:
            return tuple(found)
        if kind == _HIGH_ADDRESS:
            high = int.from_bytes(data, "big") << 16
        elif kind == _DATA:
            found.append((high + int.from_bytes(body[1:3], "big"), data))
    raise BuildError("the Intel HEX file has no end record")
