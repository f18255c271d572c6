"""Boots the image of a real board in unicorn: what its ROM or boot loader does, by the manual."""

from __future__ import annotations

import binascii
from pathlib import Path

import pytest

from edgepack.manifest import Manifest
from edgepack.targets import load_target
from edgepack.toolchain import compile_project
from tests.emulator.chip_imxrt import Imxrt
from tests.emulator.chip_nrf52 import Nrf52
from tests.emulator.chip_rp2 import RP2040, RP2350, Rp2, SsiFlash
from tests.emulator.chip_samd51 import Samd51
from tests.emulator.chip_stm32_table import STM32_MODELS
from tests.emulator.echo_project import ECHO, write_project
from tests.emulator.unicorn_machine import Chip, Machine

BOARDS = (
    *("nrf52840dk", "nano33ble", "pico", "pico2", "feather-m4", "metro-m4", "teensy41"),
    *("nucleo-f446re", "nucleo-f746zg", "nucleo-h743zi", "nucleo-l4r5zi", "olimex-stm32-h405"),
)
_built: dict[str, tuple[Path, Manifest]] = {}


def make_chip(name: str) -> Chip:
    target = load_target(name)
    if name in ("pico", "pico2"):
        return Rp2(target, RP2040 if name == "pico" else RP2350)
    if name in STM32_MODELS:
        return STM32_MODELS[name](target)
    kinds: dict[str, type[Chip]] = {"nrf52840": Nrf52, "samd51j19": Samd51, "imxrt1062": Imxrt}
    return kinds[target.soc.id](target)


def make_machine(name: str, factory: pytest.TempPathFactory, chip: Chip | None = None) -> Machine:
    if name not in _built:
        folder = factory.mktemp("real") / name
        target = load_target(name)
        # echo.c calls neither of the two, so the linker would drop them
        start = "ep_port_init();\n    ep_port_set_baud(ep_port_millis() & 0u);"
        source = ECHO.read_text("utf-8").replace("ep_port_init();", start)
        manifest = compile_project(folder, write_project(folder, target, source), target)
        _built[name] = (folder, manifest)
    project, manifest = _built[name]
    return Machine(project, manifest, load_target(name), chip or make_chip(name))


def boot(machine: Machine, flash: SsiFlash | None = None) -> None:
    """What the chip's ROM, or the board's boot loader, does with the image."""
    vectors = min(r.origin for r in machine.target.memory if r.kind == "flash")
    name = machine.target.id
    if name == "pico":
        run_boot2(machine, flash or SsiFlash(quad=True))
        return
    if name == "pico2":
        vectors = find_image_def(machine, vectors)
    if name == "teensy41":
        entry = read_ivt(machine, vectors)
        machine.start(entry, 0x2020_8000)
        return
    machine.start(machine.word(vectors + 4), machine.word(vectors))


def run_boot2(machine: Machine, flash: SsiFlash) -> None:
    """RP2040 datasheet 2.8.1.3: check the CRC, copy to RAM, jump."""
    boot2 = bytes(machine.uc.mem_read(0x1000_0000, 256))
    reverse = bytes(int(f"{byte:08b}"[::-1], 2) for byte in boot2[:252])
    # zlib's CRC32 is the same polynomial in the other bit order, inverted at the end
    crc = int(f"{binascii.crc32(reverse) ^ 0xFFFF_FFFF:032b}"[::-1], 2)
    assert int.from_bytes(boot2[252:], "little") == crc
    machine.uc.mem_write(0x2004_1F00, boot2)
    machine.uc.mmio_map(
        SsiFlash.BASE,
        0x1000,
        lambda uc, offset, size, data: machine._guard(lambda: flash.read(offset)) or 0,
        None,
        lambda uc, offset, size, value, data: machine._guard(lambda: flash.write(offset, value)),
        None,
    )
    machine.start(0x2004_1F00, 0x2004_1F00)
    reset = machine.symbols["ep_reset_handler"][0] & ~1
    machine.go(0x2004_1F01, 100_000, reset)
    assert machine.pc() == reset
    assert flash.mode() is not None
    assert machine.chip.value(0xE000_ED08) == 0x1000_0100


def find_image_def(machine: Machine, start: int) -> int:
    """RP2350 datasheet 5.9.5: the first block of the first 4 KiB, an IMAGE_DEF for secure Arm."""
    at = next(a for a in range(start, start + 4096, 4) if machine.word(a) == 0xFFFF_DED3)
    assert machine.word(at + 4) == 0x1021_0142
    assert machine.word(at + 8) == 0x0000_01FF
    assert machine.word(at + 12) == 0 and machine.word(at + 16) == 0xAB12_3579
    return start


def read_ivt(machine: Machine, start: int) -> int:
    """IMXRT1060RM 9.6.3 and 9.7.1."""
    block = bytes(machine.uc.mem_read(start, 0x200))
    assert block[:8] == b"FCFB\x00\x00\x01\x56"
    assert int.from_bytes(block[0x50:0x54], "little") == 8 * 1024 * 1024
    assert machine.word(start + 0x80) == 0x0A18_04EB and machine.word(start + 0x84) == 0x3204_1EFF
    assert machine.word(start + 0x1000) & 0xFFFF_00FF == 0x4020_00D1 & 0xFFFF_00FF
    data = machine.word(start + 0x1010)
    assert machine.word(data) == start and machine.word(data + 8) == 0
    return machine.word(start + 0x1004)
