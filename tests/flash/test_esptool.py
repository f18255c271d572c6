"""esptool, the real program, against the serial boot loader of an ESP32-C3 on a socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgepack.errors import FlashError, UsageError
from edgepack.flash import FlashOutcome, flash_project
from tests.flash.esp_rom import EspChip, EspPort
from tests.flash.mini_elf import code, real_board, write_board_project

OFFSET = 0x10000
ARGS = "idf/args.json"


def flash(tmp_path: Path, chip: EspChip, **options: object) -> FlashOutcome:
    settings = {"chip": "esp32c3", "offset": OFFSET, **options}
    # the image itself is an Arm one: what esptool writes is bytes to it
    board = real_board("netduinoplus2", esptool=settings)
    # several blocks, stub and ROM alike
    manifest = write_board_project(tmp_path / "p", board, code(count=40_000))
    with EspPort(chip) as port:
        return flash_project(tmp_path / "p", manifest, board, port=port.url)


@pytest.mark.parametrize("stub", [True, False])
def test_the_image_arrives_and_is_compared(stub: bool, tmp_path: Path) -> None:
    chip = EspChip(noisy=1)
    chip.flash[OFFSET : OFFSET + 8] = bytes(8)  # an old image, which must be erased
    outcome = flash(tmp_path, chip, stub=stub)
    image = (tmp_path / "p" / "build" / "firmware.bin").read_bytes()
    assert chip.flash[OFFSET : OFFSET + len(image)] == image
    assert chip.in_stub is stub and chip.noisy == 0 and 0x13 in chip.seen
    assert outcome.verified


@pytest.mark.parametrize(
    ("chip", "said", "advice"),
    [
        (EspChip(chip_id=9), "another one", "edgepack devices"),
        (EspChip(worn=OFFSET + 64 + 3), "differs from what was written", "lower rate"),
    ],
)
def test_what_goes_wrong_is_explained(
    chip: EspChip, said: str, advice: str, tmp_path: Path
) -> None:
    if chip.worn is not None:
        even = next(i for i, byte in enumerate(code(count=40_000)) if not byte & 1)
        chip.worn = OFFSET + 64 + even
    with pytest.raises(FlashError, match=said) as caught:
        flash(tmp_path, chip)
    assert advice in (caught.value.next_step or "")


@pytest.mark.slow
def test_a_chip_that_is_not_in_download_mode_is_explained(tmp_path: Path) -> None:
    """esptool tries seven times before it gives up."""
    with pytest.raises(FlashError, match="not in download mode") as caught:
        flash(tmp_path, EspChip(mute=True))
    assert "BOOT" in (caught.value.next_step or "")


def test_the_parts_of_an_esp_idf_build_are_written(tmp_path: Path) -> None:
    """`idf.py build` leaves boot loader, partition table, application, and a list of them."""
    chip = EspChip()
    board = real_board("netduinoplus2", esptool={"chip": "esp32c3", "flasher_args": ARGS})
    manifest = write_board_project(tmp_path / "p", board)
    idf = tmp_path / "p" / "idf"
    (idf / "boot").mkdir(parents=True)
    parts = {0x0: "boot/boot.bin", 0x8000: "table.bin", OFFSET: "app.bin"}
    for seed, name in enumerate(parts.values()):
        (idf / name).write_bytes(code(seed, 500))
    said = {
        "write_flash_args": ["--flash_mode", "dio", "--flash_size", "4MB", "--flash_freq", "80m"],
        "flash_files": {hex(at): name for at, name in parts.items()},
    }
    (tmp_path / "p" / ARGS).write_text(json.dumps(said), "utf-8")
    with EspPort(chip) as port:
        outcome = flash_project(tmp_path / "p", manifest, board, port=port.url)
    assert outcome.verified and "--flash-mode" in outcome.command
    for at, name in parts.items():
        content = (idf / name).read_bytes()
        assert chip.flash[at : at + len(content)] == content


def test_a_missing_esp_idf_build_is_explained(tmp_path: Path) -> None:
    board = real_board("netduinoplus2", esptool={"chip": "esp32c3", "flasher_args": ARGS})
    manifest = write_board_project(tmp_path / "p", board)
    with pytest.raises(FlashError, match="does not say what to flash where"):
        flash_project(tmp_path / "p", manifest, board, port="socket://127.0.0.1:1")


def test_esptool_needs_a_port(tmp_path: Path) -> None:
    board = real_board("netduinoplus2", esptool={"chip": "esp32c3"})
    manifest = write_board_project(tmp_path / "p", board)
    with pytest.raises(UsageError, match="none is named"):
        flash_project(tmp_path / "p", manifest, board)
