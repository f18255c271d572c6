"""The STM32 port's clock set-up in every family, with and without a working crystal and PLL.

The firmware is the image that would be flashed, run in unicorn; the register models refuse what
ST's manuals forbid on the way (chip_stm32*.py).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgepack.manifest import read_manifest
from edgepack.targets import Target, load_target
from edgepack.toolchain import compile_project
from tests.emulator.chip_stm32 import Stm32
from tests.emulator.chip_stm32_f import Stm32F1, Stm32F2
from tests.emulator.chip_stm32_h7 import Stm32H7
from tests.emulator.chip_stm32_l4 import Stm32L4
from tests.emulator.chip_stm32_table import STM32_MODELS
from tests.emulator.echo_project import build_echo, write_project
from tests.emulator.unicorn_machine import Machine, Violation

BAUD_TOLERANCE = 0.02  # see test_real_boards.py
RESET_HZ = {Stm32F1: 8e6, Stm32F2: 16e6, Stm32L4: 4e6, Stm32H7: 64e6}
CLOCKED = [name for name in STM32_MODELS if load_target(name).board.crystal is not None]
M7 = ("nucleo-f746zg", "nucleo-h743zi")

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stm32")


def booted(name: str, folder: Path, chip: Stm32) -> Machine:
    """The board's image, run until it has sent its banner."""
    project = folder / name
    manifest = read_manifest(project) if project.exists() else build_echo(project, name)
    return run_to_banner(Machine(project, manifest, load_target(name), chip))


def run_to_banner(machine: Machine) -> Machine:
    vectors = machine.target.memory[0].origin
    machine.start(machine.word(vectors + 4), machine.word(vectors))
    machine.run_until(lambda: b"echo-ready\r\n" in machine.chip.tx, slices=20_000)
    return machine


@pytest.mark.parametrize("name", STM32_MODELS)
def test_full_speed(name: str, folder: Path) -> None:
    target = load_target(name)
    chip = STM32_MODELS[name](target)
    machine = booted(name, folder, chip)
    assert chip.core_hz() == target.clock_hz
    assert chip.uart_hz() == target.uart.clock_hz
    assert chip.baud() == pytest.approx(target.uart.baud, rel=BAUD_TOLERANCE)
    assert machine.call("ep_port_ticks_hz") & 0xFFFF_FFFF == target.clock_hz
    assert machine.call("ep_port_ticks_kind") & 0xFF == 1  # cycles
    caches = chip.value(0xE000_ED14) >> 16 & 3
    assert caches == (3 if name in M7 else 0)


@pytest.mark.parametrize(
    "name", [n for n in STM32_MODELS if load_target(n).board.crystal is not None]
)
def test_full_speed_without_the_crystal(name: str, folder: Path) -> None:
    target = load_target(name)
    chip = STM32_MODELS[name](target, hse=False)
    booted(name, folder, chip)
    assert chip.core_hz() == target.clock_hz
    assert chip.baud() == pytest.approx(target.uart.baud, rel=BAUD_TOLERANCE)


@pytest.mark.parametrize("name", STM32_MODELS)
def test_speaks_when_the_pll_does_not_lock(name: str, folder: Path) -> None:
    chip = STM32_MODELS[name](load_target(name), pll=False)
    machine = booted(name, folder, chip)
    assert chip.core_hz() == RESET_HZ[STM32_MODELS[name]]
    assert machine.call("ep_port_ticks_hz") & 0xFFFF_FFFF == chip.core_hz()
    assert chip.baud() == pytest.approx(115200, rel=BAUD_TOLERANCE)


@pytest.mark.parametrize(
    ("name", "define", "value", "said"),
    [
        ("netduino2", "EP_FLASH_ACR", "0x702u", "120 MHz with 2 wait states"),
        ("nucleo-f446re", "EP_PWR_OVERDRIVE", "0", "180 MHz, over-drive False"),
        ("nucleo-f446re", "EP_CLOCK_HZ", "190000000u", "with 5 wait states|over-drive True"),
        ("nucleo-f746zg", "EP_UART_RCC_BIT", "17u", "the UART used without its clock"),
        ("nucleo-h743zi", "EP_FLASH_ACR", "0x22u", "AXI at 240 MHz with FLASH_ACR 0x22"),
        ("nucleo-h743zi", "EP_HSE_HZ", "25000000u", "PLL out of range"),
        ("nucleo-l4r5zi", "EP_FLASH_ACR", "0x704u", "120 MHz with 4 wait states"),
    ],
)
def test_the_models_refuse_wrong_set_ups(
    name: str, define: str, value: str, said: str, tmp_path: Path
) -> None:
    """The same image with one constant changed: otherwise the tests above prove nothing."""
    target = load_target(name)
    board = target.board.model_copy(update={"defines": {**target.board.defines, define: value}})
    wrong = Target(board, target.soc)
    manifest = compile_project(tmp_path / "p", write_project(tmp_path / "p", wrong), wrong)
    chip = STM32_MODELS[name](target)
    with pytest.raises((Violation, AssertionError), match=said):
        run_to_banner(Machine(tmp_path / "p", manifest, target, chip))
        assert chip.core_hz() == target.clock_hz, f"{chip.core_hz():g} Hz"


def test_slow_silicon_of_the_h743(folder: Path) -> None:
    chip = Stm32H7(load_target("nucleo-h743zi"), revision=0x1003)
    machine = booted("nucleo-h743zi", folder, chip)
    assert chip.core_hz() == 400e6 == machine.call("ep_port_ticks_hz") & 0xFFFF_FFFF
    assert chip.baud() == pytest.approx(115200, rel=BAUD_TOLERANCE)
    assert chip.value(0x5100_8108) == 1  # ES0392 2.2.9
    fast = Stm32H7(load_target("nucleo-h743zi"))
    booted("nucleo-h743zi", folder, fast)
    assert fast.value(0x5100_8108) == 0
