"""Ports of real boards, run in unicorn against models of their registers (unicorn_machine.py)."""

from __future__ import annotations

import re
import shutil

import pytest

from edgepack.targets import load_target
from tests.emulator.chip_imxrt import Imxrt
from tests.emulator.chip_rp2 import SsiFlash
from tests.emulator.chip_samd51 import Samd51
from tests.emulator.real_board import BOARDS, boot, make_machine
from tests.emulator.unicorn_machine import Machine

# 8N1 samples the last bit 9.5 bit times after the start edge; both ends share the half bit left.
BAUD_TOLERANCE = 0.02
OWN_SET_UP = ("nrf52840dk", "pico", "pico2", "feather-m4", "teensy41")
pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]


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


@pytest.mark.parametrize("name", OWN_SET_UP)
def test_sets_up_again_from_full_speed(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    # as after a debugger's restart, or behind a boot loader that left the PLL running
    machine = make_machine(name, tmp_path_factory)
    boot(machine)
    assert line(machine) == "echo-ready"
    machine.call("ep_port_init")
    target = machine.target
    assert machine.chip.core_hz() == target.clock_hz
    assert target.uart.baud is not None
    assert machine.chip.baud() == pytest.approx(target.uart.baud, rel=BAUD_TOLERANCE)


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
