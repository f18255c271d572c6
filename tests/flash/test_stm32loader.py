"""stm32loader, the real program, against a boot loader that speaks AN3155 over a pty."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgepack.errors import FlashError, UsageError
from edgepack.flash import FlashOutcome, flash_project
from tests.flash.an3155 import Stm32Rom
from tests.flash.mini_elf import code, real_board, write_board_project
from tests.flash.serial_pair import serial_device

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")

# Offset of a byte of the image whose lowest bit is 0; the vector table takes 64 bytes before it.
EVEN = 64 + next(i for i, byte in enumerate(code()) if i > 500 and not byte & 1)


@pytest.fixture(autouse=True)
def no_modem_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "no_modem_lines"))


def flash(tmp_path: Path, rom: Stm32Rom) -> FlashOutcome:
    board = real_board("netduinoplus2", stm32loader={"family": "F4"})
    manifest = write_board_project(tmp_path / "p", board)
    with serial_device(rom) as port:
        return flash_project(tmp_path / "p", manifest, board, port=port)


def test_the_image_arrives_and_is_started(tmp_path: Path) -> None:
    rom = Stm32Rom()
    outcome = flash(tmp_path, rom)
    image = (tmp_path / "p" / "build" / "firmware.bin").read_bytes()
    assert rom.flash[: len(image)] == image
    assert set(rom.flash[len(image) :]) == {0xFF} and rom.erased == 1
    assert rom.started == rom.origin
    assert outcome.verified and outcome.tool == "stm32loader"


@pytest.mark.parametrize(
    ("rom", "said", "advice"),
    [
        (Stm32Rom(locked=True), "locked against reading", "--unprotect"),
        (Stm32Rom(worn=0x08000000 + EVEN), "differs from what was written", "run it again"),
    ],
)
def test_what_goes_wrong_is_explained(
    rom: Stm32Rom, said: str, advice: str, tmp_path: Path
) -> None:
    with pytest.raises(FlashError, match=said) as caught:
        flash(tmp_path, rom)
    assert advice in (caught.value.next_step or "")


@pytest.mark.slow
def test_a_chip_that_is_not_in_its_boot_loader_is_explained(tmp_path: Path) -> None:
    """stm32loader waits for 5 s, twice."""
    with pytest.raises(FlashError, match="does not answer") as caught:
        flash(tmp_path, Stm32Rom(mute=True))
    assert "BOOT0" in (caught.value.next_step or "")


def test_a_port_that_is_not_there_is_explained(tmp_path: Path) -> None:
    board = real_board("netduinoplus2", stm32loader={})
    manifest = write_board_project(tmp_path / "p", board)
    with pytest.raises(FlashError, match="does not exist or is held") as caught:
        flash_project(tmp_path / "p", manifest, board, port="/dev/ttyNOWHERE")
    assert caught.value.next_step == "edgepack devices"


@pytest.mark.parametrize("port", [None, "socket://127.0.0.1:1"])
def test_only_a_port_of_this_computer_will_do(port: str | None, tmp_path: Path) -> None:
    board = real_board("netduinoplus2", stm32loader={})
    manifest = write_board_project(tmp_path / "p", board)
    with pytest.raises(UsageError, match="serial port of this computer"):
        flash_project(tmp_path / "p", manifest, board, port=port)
