"""Ports of real boards, run in unicorn against models of their registers (unicorn_machine.py)."""

from __future__ import annotations

import binascii
import re
import shutil
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
# 8N1 samples the last bit 9.5 bit times after the start edge; both ends share the half bit left.
BAUD_TOLERANCE = 0.02
pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]
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


def line(machine: Machine, command: bytes = b"") -> str:
    chip = machine.chip
    before = len(chip.tx)
    chip.rx.extend(command)
    machine.run_until(lambda: chip.tx[before:].endswith(b"\n"))
    return chip.tx[before:].decode("ascii").strip()


@pytest.fixture(params=BOARDS)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    made = make_machine(request.param, tmp_path_factory)
    boot(made)
    assert line(made) == "echo-ready"
    return made


def test_runs_at_the_clock_and_baud_rate_of_the_record(machine: Machine) -> None:
    target, chip = machine.target, machine.chip
    assert chip.core_hz() == target.clock_hz == target.counter.hz
    assert target.uart.baud is not None
    assert chip.baud() == pytest.approx(target.uart.baud, rel=BAUD_TOLERANCE)
    facts = re.fullmatch(
        r"kind (\d) hz (\d+) baud (\d+) stack (\d+) in (\d) lost (\d+)", line(machine, b"i")
    )
    assert facts is not None
    kind, hz, most, stack, inside, lost = map(int, facts.groups())
    assert (kind, hz, most) == (1, target.clock_hz, target.uart.max_baud)
    assert (stack, inside, lost) == (target.stack.bytes, 1, 0)


def test_switches_to_every_usual_baud_rate(machine: Machine) -> None:
    most = machine.target.uart.max_baud
    assert most is not None
    rates = [r for r in (9600, 57600, 115200, 230400, 460800, 921600, 1_000_000) if r <= most]
    for rate in (*rates, most):
        machine.call("ep_port_set_baud", rate)
        assert machine.chip.baud() == pytest.approx(rate, rel=BAUD_TOLERANCE)
    machine.call("ep_port_set_baud", most + 1)
    machine.call("ep_port_set_baud", 0)
    assert machine.chip.baud() == pytest.approx(most, rel=BAUD_TOLERANCE)


def test_echoes_and_keeps_what_the_ring_cannot_hold(machine: Machine) -> None:
    chip = machine.chip
    data = bytes(range(256))
    before = len(chip.tx)
    chip.rx.extend(b"e" + data)
    machine.run_until(lambda: len(chip.tx) >= before + 256)
    assert chip.tx[before:] == data
    # far more at once than the ring of 256 takes: the rest stays in the UART until there is room
    more = bytes(i * 7 % 256 for i in range(16384))
    total = 0
    for byte in more:
        total = (total * 31 + byte) & 0xFFFF_FFFF
    assert line(machine, b"s" + more) == str(total)
    assert line(machine, b"i").endswith("lost 0")


def test_the_counter_is_exact_for_hours(machine: Machine) -> None:
    chip = machine.chip
    chip.running = 0
    first = machine.call("ep_port_ticks") - chip.cycles
    hz = machine.target.clock_hz
    assert hz is not None
    hours = [hour * 3600 * hz for hour in (1, 2, 12, 24)]
    wrap = machine.target.counter.wrap_ticks
    assert chip.cycles + sum(hours[:3]) < wrap  # it has to last for that long at least
    for step in (1, 2, 1000, 2**23 - 3, 2**24 + 5, 2**31 + 7, 2**32 - 1, 2**32 + 11, *hours):
        if chip.cycles + step >= wrap:
            break
        before = machine.call("ep_port_millis")
        chip.cycles += step
        assert machine.call("ep_port_ticks") - chip.cycles == first
        passed = (machine.call("ep_port_millis") - before) & 0xFFFF_FFFF
        if step * 1000 / hz < 2**20:
            assert passed == pytest.approx(step * 1000 / hz, rel=0.05, abs=10)


def test_a_fault_is_reported_and_resets(machine: Machine) -> None:
    low = machine.symbols["ep_ld_stack_low"][0]
    frame = b"".join(word.to_bytes(4, "little") for word in (0, 1, 2, 3, 12, 0xAB, 0xCD, 0))
    machine.uc.mem_write(low, frame)
    before = len(machine.chip.tx)
    machine.call("ep_fault_report", low, returns=False)
    assert re.fullmatch(
        rb"e-\[FAULT pc=000000CD lr=000000AB cause=[0-9A-F]{8}\]\r\n", machine.chip.tx[before:]
    )
    own = machine.target.id.startswith("pico")
    assert machine.chip.reset_by == ("watchdog" if own else "SYSRESETREQ")


@pytest.mark.parametrize(
    ("quad", "fixed", "mode"),
    [(True, False, "quad"), (False, False, "quad"), (False, True, "serial")],
    ids=["QE set", "QE settable", "no QE"],
)
def test_boot2_maps_the_flash(
    quad: bool, fixed: bool, mode: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine = make_machine("pico", tmp_path_factory)
    flash = SsiFlash(quad, fixed)
    boot(machine, flash)
    assert flash.mode() == mode
    assert flash.registers[0x14] == 2 and flash.registers[0xF0] == 1
    assert line(machine) == "echo-ready"


@pytest.mark.slow  # ten million turns of a waiting loop
def test_samd51_falls_back_to_the_dfll(tmp_path_factory: pytest.TempPathFactory) -> None:
    chip = Samd51(load_target("feather-m4"), crystal=False)
    machine = make_machine("feather-m4", tmp_path_factory, chip)
    boot(machine)
    machine.run_until(lambda: b"echo-ready" in chip.tx, slices=40_000)
    assert chip.core_hz() == 120e6
    assert chip.baud() == pytest.approx(115200, rel=BAUD_TOLERANCE)


def test_teensy_protects_what_it_uses(tmp_path_factory: pytest.TempPathFactory) -> None:
    chip = Imxrt(load_target("teensy41"))
    machine = make_machine("teensy41", tmp_path_factory, chip)
    boot(machine)
    assert line(machine) == "echo-ready"
    for region in machine.target.memory:
        for address in (region.origin, region.end - 1):
            value = chip.access(address)
            assert value >> 24 & 7 == 3  # read and write
            assert not value >> 28 & 1 or region.kind == "ram"  # code may run
            assert bool(value >> 17 & 1) == (region.name != "dtcm")  # cached, but for the DTCM
    assert chip.access(0x4019_8014) >> 19 & 7 == 2  # device memory
    for nothing in (0x0010_0000, 0x2010_0000, 0x6080_0000, 0x8000_0000):
        assert chip.access(nothing) >> 24 & 7 == 0
    assert chip.value(0xE000_ED14) >> 16 & 3 == 3  # both caches
    assert not chip.value(0x400B_C000) >> 7 & 1  # the watchdog is off
