"""What a chip's boot ROM checks before it runs an image: sealed after linking, then verified.

RP2040: RP2040 datasheet 2.8.1.3 (boot2: 256 bytes, the last 4 a CRC32 of the others).
RP2350: RP2350 datasheet 5.9 (blocks, items, IMAGE_DEF within the first 4 KiB).
i.MX RT106x: reference manual IMXRT1060RM chapter 9 (FlexSPI configuration block, IVT, boot data).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from elftools.elf.elffile import ELFFile

from edgepack.errors import BuildError
from edgepack.targets import Target
from edgepack.toolchain.elf import Image, Section

SECTION = ".ep_boot"
_CRC_POLYNOMIAL = 0x04C11DB7
BOOT2_BYTES = 256
_BLOCK_START, _BLOCK_END = 0xFFFFDED3, 0xAB123579
_ITEM_IMAGE_TYPE, _ITEM_LAST = 0x42, 0xFF
_IMAGE_DEF_WINDOW = 4096
# EXE | secure | Arm | RP2350, as in the fields of the IMAGE_TYPE item
_ARM_SECURE_RP2350 = 0x0001 | 0x0020 | 0x0000 | 0x1000
_FCB_TAG, _FCB_VERSION_MAJOR = 0x42464346, 0x56
_IVT_OFFSET, _IVT_LENGTH = 0x1000, 32


def crc32_msb_first(data: bytes) -> int:
    """CRC-32/MPEG-2: polynomial 0x04C11DB7, most significant bit first, from all ones, not
    inverted at the end. The RP2040's ROM computes it over boot2 (datasheet 2.8.1.3.1).
    """
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (_CRC_POLYNOMIAL if crc & 0x8000_0000 else 0)) & 0xFFFF_FFFF
    return crc


def seal_image(path: Path, target: Target) -> None:
    """Write the checksum that the boot ROM wants into the linked file, where there is one.

    Raises:
        BuildError: the image has no boot block of the right size.
    """
    boot = target.soc.boot
    if boot is None or boot.kind != "rp2040-boot2":
        return
    with path.open("r+b") as file:
        section = ELFFile(file).get_section_by_name(SECTION)
        if section is None or section["sh_size"] != BOOT2_BYTES:
            size = 0 if section is None else section["sh_size"]
            raise BuildError(f"{path.name}: boot2 has {size} bytes, not {BOOT2_BYTES}")
        code = section.data()[: BOOT2_BYTES - 4]
        file.seek(section["sh_offset"] + BOOT2_BYTES - 4)
        file.write(struct.pack("<I", crc32_msb_first(code)))


def check_boot_block(image: Image, target: Target) -> list[str]:
    """What the boot ROM would refuse, one sentence each; empty where it demands nothing."""
    boot = target.soc.boot
    if boot is None:
        return []
    section = image.section(SECTION)
    if section is None:
        return [f"it has no boot block (section {SECTION}), which {boot.kind} needs"]
    return _CHECKS[boot.kind](image, section, target)


def _flash_start(target: Target) -> int:
    return min(region.origin for region in target.memory if region.kind == "flash")


def _check_boot2(image: Image, section: Section, target: Target) -> list[str]:
    problems = []
    if section.load != _flash_start(target):
        problems.append("boot2 is not at the start of the flash")
    if section.size != BOOT2_BYTES:
        return [*problems, f"boot2 has {section.size} bytes, not {BOOT2_BYTES}"]
    stored = struct.unpack_from("<I", section.data, BOOT2_BYTES - 4)[0]
    wanted = crc32_msb_first(section.data[: BOOT2_BYTES - 4])
    if stored != wanted:
        problems.append(f"the checksum of boot2 is 0x{stored:08X}, not 0x{wanted:08X}")
    vectors = image.section(".ep_vectors")
    if vectors is not None and vectors.load != _flash_start(target) + BOOT2_BYTES:
        problems.append("the vector table does not follow boot2")
    return problems


def _check_image_def(image: Image, section: Section, target: Target) -> list[str]:
    start = section.load if section.load is not None else section.address
    if start + section.size > _flash_start(target) + _IMAGE_DEF_WINDOW:
        return [f"the IMAGE_DEF block is not within the first {_IMAGE_DEF_WINDOW} bytes"]
    words = struct.unpack(f"<{section.size // 4}I", section.data[: section.size & ~3])
    if len(words) < 5 or (words[0], words[-1]) != (_BLOCK_START, _BLOCK_END):
        return ["the IMAGE_DEF block lacks its start or end marker"]
    problems = []
    kind, size, value = words[1] & 0xFF, words[1] >> 8 & 0xFF, words[1] >> 16
    if (kind, size, value) != (_ITEM_IMAGE_TYPE, 1, _ARM_SECURE_RP2350):
        problems.append(f"the first item 0x{words[1]:08X} is no secure Arm image type")
    if words[-3] & 0xFF != _ITEM_LAST or words[-3] >> 8 & 0xFFFF != len(words) - 4:
        problems.append(f"the last item 0x{words[-3]:08X} does not hold the size of the items")
    if words[-2] != 0:
        problems.append("the block does not link to itself")
    vectors = image.section(".ep_vectors")
    if vectors is not None and vectors.load != _flash_start(target):
        problems.append("the vector table is not at the start of the image")
    return problems


def _check_flexspi(image: Image, section: Section, target: Target) -> list[str]:
    start = _flash_start(target)
    if section.load != start or section.size < _IVT_OFFSET + _IVT_LENGTH:
        return ["the FlexSPI configuration block and the IVT are not at the start of the flash"]
    problems = []
    tag, version = struct.unpack_from("<2I", section.data)
    if tag != _FCB_TAG or version >> 24 != _FCB_VERSION_MAJOR:
        problems.append(f"the FlexSPI configuration block begins with 0x{tag:08X} 0x{version:08X}")
    header, entry, _, _, boot_data, own, _, _ = struct.unpack_from("<8I", section.data, _IVT_OFFSET)
    # tag 0xD1, length in big endian, version 0x40 to 0x45
    if header & 0xFF != 0xD1 or header >> 8 & 0xFFFF != 0x2000 or header >> 28 != 4:
        problems.append(f"the header of the IVT is 0x{header:08X}")
    if own != start + _IVT_OFFSET:
        problems.append(f"the IVT says that it is at 0x{own:08X}")
    vectors = image.section(".ep_vectors")
    if vectors is None or entry not in (image.entry | 1, vectors.address):
        problems.append(f"the entry 0x{entry:08X} of the IVT is not that of the image")
    offset = boot_data - start
    if not _IVT_OFFSET + _IVT_LENGTH <= offset <= section.size - 12:
        return [*problems, f"the boot data at 0x{boot_data:08X} are outside the boot block"]
    base, length, plugin = struct.unpack_from("<3I", section.data, offset)
    last = max((s.load or 0) + s.size for s in image.sections if s.load is not None)
    if base != start or base + length < last or plugin != 0:
        problems.append(f"the boot data 0x{base:08X} + {length} do not cover the image")
    return problems


_CHECKS: dict[str, Callable[[Image, Section, Target], list[str]]] = {
    "rp2040-boot2": _check_boot2,
    "rp2350-image-def": _check_image_def,
    "imxrt-flexspi": _check_flexspi,
}
