"""UF2, Intel HEX and raw images against their specifications; boot blocks, sealed and spoilt."""

from __future__ import annotations

import binascii
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.errors import BuildError
from edgepack.manifest import read_manifest
from edgepack.targets import load_target
from edgepack.toolchain import check_image, compile_project, read_image
from edgepack.toolchain.boot_block import crc32_msb_first
from edgepack.toolchain.elf import Image
from edgepack.toolchain.formats import flat_binary, load_chunks
from edgepack.toolchain.intel_hex import read_hex, write_hex
from edgepack.toolchain.uf2 import read_uf2, write_uf2
from tests.emulator.echo_project import build_echo, write_project

needs_gcc = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)
FAMILY = 0xE48BFF56
chunk_lists = st.lists(
    st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=700)), min_size=1, max_size=5
).map(lambda parts: tuple((0x1000_0000 + 1024 * n * (i + 1), d) for i, (n, d) in enumerate(parts)))


def as_bytes(parts: tuple[tuple[int, bytes], ...]) -> dict[int, int]:
    """Later chunks win, as they do on a flash that is written in that order."""
    return {address + i: byte for address, data in parts for i, byte in enumerate(data)}


@given(chunk_lists)
def test_uf2_holds_every_byte_and_pads_with_erased_flash(
    chunks: tuple[tuple[int, bytes], ...],
) -> None:
    data = write_uf2(chunks, FAMILY)
    uf2 = read_uf2(data)
    wanted = as_bytes(chunks)
    found = as_bytes(uf2.blocks)
    assert uf2.family == FAMILY
    assert {address: found[address] for address in wanted} == wanted
    assert {found[address] for address in found.keys() - wanted.keys()} <= {0xFF}
    addresses = [address for address, _ in uf2.blocks]
    assert addresses == sorted(set(addresses)) and all(a % 256 == 0 for a in addresses)
    assert {len(block) for _, block in uf2.blocks} == {256}


def test_a_uf2_block_is_laid_out_as_specified() -> None:
    data = write_uf2([(0x1000_0010, b"abc"), (0x1000_0100, bytes(300))], FAMILY)
    assert len(data) == 3 * 512
    assert data[:4] == b"UF2\n"
    head = struct.unpack_from("<8I", data, 512)
    assert head == (0x0A324655, 0x9E5D5157, 0x2000, 0x1000_0100, 256, 1, 3, FAMILY)
    assert data[32:48] == b"\xff" * 16 and data[48:51] == b"abc"
    assert data[32 + 256 : 508] == bytes(220)
    assert struct.unpack_from("<I", data, 508) == (0x0AB16F30,)


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (0, 0, "block 0: its magic is 0x00000000"),
        (508, 1, "block 0: it does not end with 0x0ab16f30"),
        (20, 1, "block 0: it says 1 of 1, not 0 of 1"),
        (24, 7, "block 0: it says 0 of 7, not 0 of 1"),
        (16, 480, "480 bytes for 0x10000000: at most 476"),
        (16, 255, "both in multiples of 4"),
    ],
)
def test_a_broken_uf2_file_is_refused(offset: int, value: int, said: str) -> None:
    data = bytearray(write_uf2([(0x1000_0000, b"x")], FAMILY))
    struct.pack_into("<I", data, offset, value)
    with pytest.raises(BuildError, match=said):
        read_uf2(bytes(data))
    with pytest.raises(BuildError, match="blocks of 512 bytes"):
        read_uf2(bytes(data[:-1]))


@given(chunk_lists)
def test_intel_hex_holds_every_byte(chunks: tuple[tuple[int, bytes], ...]) -> None:
    ordered = tuple(sorted(chunks))
    assert as_bytes(read_hex(write_hex(ordered))) == as_bytes(ordered)


def test_intel_hex_crosses_64_kib_and_names_the_entry() -> None:
    lines = write_hex([(0x0000_FFF8, bytes(range(16)))], 0x0800_0123).splitlines()
    assert lines == [
        ":08FFF8000001020304050607E5",
        ":020000040001F9",
        ":0800000008090A0B0C0D0E0F9C",
        ":0400000508000123CB",
        ":00000001FF",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":00000001FE", "line 1 has a wrong checksum"),
        (":0000000", "line 1 is malformed"),
        ("00000001FF", "line 1 is malformed"),
        (":0100000000FF", "no end record"),
    ],
)
def test_a_broken_hex_file_is_refused(text: str, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        read_hex(text)


def test_a_raw_image_fills_gaps_and_refuses_absurd_ones() -> None:
    assert flat_binary(((16, b"ab"), (20, b"c"))) == b"ab\xff\xffc"
    with pytest.raises(BuildError, match="cannot hold 0x20000000"):
        flat_binary(((16, b"ab"), (0x2000_0000, b"c")))
    with pytest.raises(BuildError, match="gap of -1 bytes"):
        flat_binary(((16, b"ab"), (17, b"c")))


def test_the_crc_of_boot2_is_mpeg2s() -> None:
    # the check value of CRC-32/MPEG-2 in the catalogue of parametrised CRC algorithms
    assert crc32_msb_first(b"123456789") == 0x0376E6E7


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("formats")
    names = ("pico", "pico2", "teensy41", "nano33ble")
    for name in names:
        build_echo(folder / name, name)
    return {name: folder / name for name in names}


@needs_gcc
@pytest.mark.parametrize("name", ["pico", "pico2", "nano33ble", "teensy41"])
def test_the_files_agree_with_objcopy(built: dict[str, Path], name: str, tmp_path: Path) -> None:
    project = built[name]
    manifest = read_manifest(project)
    assert set(manifest.files) == {post.format for post in load_target(name).board.post}
    elf = project / "build" / "firmware.elf"
    raw = tmp_path / "raw.bin"
    subprocess.run(
        ["arm-none-eabi-objcopy", "-O", "binary", "--gap-fill", "0xff", elf, raw], check=True
    )
    wanted = raw.read_bytes()
    start = load_chunks(read_image(elf))[0][0]
    if "bin" in manifest.files:
        assert (project / manifest.files["bin"]).read_bytes() == wanted
    if "hex" in manifest.files:
        back = tmp_path / "back.bin"
        command = ["arm-none-eabi-objcopy", "-I", "ihex", "-O", "binary", "--gap-fill", "0xff"]
        subprocess.run([*command, project / manifest.files["hex"], back], check=True)
        assert back.read_bytes() == wanted
    if "uf2" in manifest.files:
        found = as_bytes(read_uf2((project / manifest.files["uf2"]).read_bytes()).blocks)
        assert bytes(found[start + i] for i in range(len(wanted))) == wanted


def spoilt(image: Image, offset: int, word: int) -> Image:
    """The image with another word in its boot block."""
    sections = tuple(
        replace(s, data=s.data[:offset] + word.to_bytes(4, "little") + s.data[offset + 4 :])
        if s.name == ".ep_boot"
        else s
        for s in image.sections
    )
    return replace(image, sections=sections)


@needs_gcc
@pytest.mark.parametrize(
    ("name", "offset", "word", "said"),
    [
        ("pico", 40, 0, "the checksum of boot2 is 0x"),
        ("pico", 252, 0, "the checksum of boot2 is 0x00000000, not 0x"),
        ("pico2", 0, 0, "lacks its start or end marker"),
        ("pico2", 4, 0x1101_0142, "0x11010142 is no secure Arm image type"),
        ("pico2", 8, 0x0000_02FF, "does not hold the size of the items"),
        ("pico2", 12, 4, "does not link to itself"),
        ("teensy41", 0, 0, "the FlexSPI configuration block begins with 0x00000000"),
        ("teensy41", 0x1000, 0, "the header of the IVT is 0x00000000"),
        ("teensy41", 0x1004, 0x6000_3000, "the entry 0x60003000 of the IVT is not that"),
        ("teensy41", 0x1010, 0x6000_0000, "the boot data at 0x60000000 are outside"),
        ("teensy41", 0x1014, 0x6000_0000, "the IVT says that it is at 0x60000000"),
        ("teensy41", 0x1024, 0x1000, "0x60000000 \\+ 4096 do not cover the image"),
    ],
)
def test_a_spoilt_boot_block_is_refused(
    built: dict[str, Path], name: str, offset: int, word: int, said: str
) -> None:
    target = load_target(name)
    image = read_image(built[name] / "build" / "firmware.elf")
    check_image(image, target)
    with pytest.raises(BuildError, match=said):
        check_image(spoilt(image, offset, word), target)


@needs_gcc
@pytest.mark.parametrize("name", ["pico", "pico2", "teensy41"])
def test_an_image_without_its_boot_block_is_refused(built: dict[str, Path], name: str) -> None:
    image = read_image(built[name] / "build" / "firmware.elf")
    rest = tuple(s for s in image.sections if s.name != ".ep_boot")
    with pytest.raises(BuildError, match="it has no boot block"):
        check_image(replace(image, sections=rest), load_target(name))


@needs_gcc
def test_boot2_is_sealed_with_the_checksum_that_zlib_computes(built: dict[str, Path]) -> None:
    section = read_image(built["pico"] / "build" / "firmware.elf").section(".ep_boot")
    assert section is not None and section.size == 256
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in section.data[:252])
    crc = int(f"{binascii.crc32(mirrored) ^ 0xFFFF_FFFF:032b}"[::-1], 2)
    assert int.from_bytes(section.data[252:], "little") == crc


@needs_gcc
def test_a_project_without_boot2_is_not_linked_for_the_pico(tmp_path: Path) -> None:
    target = load_target("pico")
    manifest = write_project(tmp_path / "p", target)
    sources = tuple(s for s in manifest.sources if not s.endswith("boot2.S"))
    with pytest.raises(BuildError, match="boot2 has 0 bytes, not 256"):
        compile_project(tmp_path / "p", manifest.model_copy(update={"sources": sources}), target)
