"""Writes the image in the forms that a board's flash tools take: `[[post]]` of its record."""

from __future__ import annotations

from pathlib import Path

from edgepack.errors import BuildError
from edgepack.targets import Target
from edgepack.toolchain.elf import Image
from edgepack.toolchain.intel_hex import write_hex
from edgepack.toolchain.uf2 import write_uf2

# A raw image holds the gaps as well; regions far apart would make it absurd.
_MOST_GAP = 0x10_0000


def load_chunks(image: Image) -> tuple[tuple[int, bytes], ...]:
    """What belongs into flash, as (address, bytes), sorted; touching sections are joined."""
    chunks: list[tuple[int, bytes]] = []
    placed = sorted((s.load, s.data) for s in image.sections if s.load is not None)
    for address, data in placed:
        if chunks and chunks[-1][0] + len(chunks[-1][1]) == address:
            chunks[-1] = (chunks[-1][0], chunks[-1][1] + data)
        else:
            chunks.append((address, data))
    return tuple(chunks)


def flat_binary(chunks: tuple[tuple[int, bytes], ...]) -> bytes:
    """The bytes from the lowest address on; gaps are 0xFF, as erased flash is.

    Raises:
        BuildError: a gap is larger than 1 MiB, or chunks overlap.
    """
    raw = bytearray()
    for address, data in chunks:
        gap = address - chunks[0][0] - len(raw)
        if not 0 <= gap <= _MOST_GAP:
            raise BuildError(f"a raw image cannot hold 0x{address:08X}: a gap of {gap} bytes")
        raw += b"\xff" * gap + data
    return bytes(raw)


def write_formats(image: Image, target: Target, project: Path, folder: str) -> dict[str, str]:
    """Write every form that the board's record asks for.

    Args:
        image: the linked and sealed image.
        project: the project directory.
        folder: where the files go, relative to it.

    Returns:
        The file of each format, relative to the project, in POSIX form.

    Raises:
        BuildError: the image cannot take a form.
    """
    chunks = load_chunks(image)
    files: dict[str, str] = {}
    for post in target.board.post:
        name = f"{folder}/firmware.{post.format}"
        if post.format == "uf2":
            assert post.family is not None  # targets/board.py
            data = write_uf2(chunks, post.family)
        elif post.format == "hex":
            data = write_hex(chunks, image.entry).encode("ascii")
        else:
            data = flat_binary(chunks)
        (project / name).write_bytes(data)
        files[post.format] = name
    return files
