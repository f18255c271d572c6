"""The file that a flash tool takes: the ELF file, or a form of it (UF2, Intel HEX, raw binary)."""

from __future__ import annotations

from pathlib import Path

from edgepack.errors import BuildError, FlashError
from edgepack.flash.base import FlashRequest, Format
from edgepack.toolchain import read_image
from edgepack.toolchain.formats import flat_binary, load_chunks
from edgepack.toolchain.intel_hex import write_hex
from edgepack.toolchain.uf2 import write_uf2


def flash_file(request: FlashRequest, kind: Format) -> Path:
    """The image in the format that a tool takes, beside the ELF file; made anew each time.

    Raises:
        FlashError: the image cannot take that form.
        ProjectError: it is no ELF file.
    """
    if kind == "elf":
        return request.image
    chunks = load_chunks(read_image(request.image))
    try:
        if kind == "uf2":
            content = write_uf2(chunks, _family(request))
        elif kind == "hex":
            content = write_hex(chunks).encode("ascii")
        else:
            content = flat_binary(chunks)
    except BuildError as error:
        raise FlashError(f"{request.image.name} as .{kind}: {error.message}") from error
    path = request.image.with_suffix(f".{kind}")
    path.write_bytes(content)
    return path


def first_address(request: FlashRequest) -> int:
    """The lowest address in flash that the image fills; where its raw binary belongs.

    Raises:
        FlashError: nothing in it goes into flash.
        ProjectError: it is no ELF file.
    """
    chunks = load_chunks(read_image(request.image))
    if not chunks:
        raise FlashError(f"{request.image} holds nothing that goes into flash")
    return chunks[0][0]


def _family(request: FlashRequest) -> int:
    for post in request.target.board.post:
        if post.family is not None:
            return post.family
    raise FlashError(
        f"the record of {request.target.id} does not say which UF2 family its boot loader takes",
        next_step=f'add [[post]] format = "uf2" to targets/boards/{request.target.id}.toml',
    )
