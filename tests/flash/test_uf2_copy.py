"""UF2: the drive is found by INFO_UF2.TXT, the file arrives, and the board's leaving is awaited."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepack.errors import FlashError
from edgepack.flash import FlashOutcome, flash_project
from edgepack.flash import flash as flash_module
from edgepack.flash import uf2 as uf2_module
from edgepack.flash.uf2 import INFO, Uf2Flash, mounted_volumes
from edgepack.targets import Target
from edgepack.targets.board import Post
from edgepack.toolchain.uf2 import read_uf2
from tests.flash.mini_elf import code, real_board, write_board_project

FAMILY = 0xE48BFF56


class BootLoader:
    """A folder that plays the drive: it takes UF2 files of its family, and then is gone."""

    def __init__(self, folder: Path, board_id: str = "RPI-RP2", family: int = FAMILY) -> None:
        self.folder = folder
        self.flash: dict[int, bytes] = {}
        self._family = family
        self._stop = threading.Event()
        folder.mkdir(parents=True)
        info = f"UF2 Bootloader v3.0\r\nModel: Test\r\nBoard-ID: {board_id}\r\n"
        (folder / INFO).write_bytes(info.encode())

    @contextlib.contextmanager
    def running(self) -> Iterator[BootLoader]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            for path in self.folder.glob("*.uf2"):
                data = path.read_bytes()
                if len(data) < 512 or len(data) < 512 * int.from_bytes(data[24:28], "little"):
                    continue  # still arriving
                image = read_uf2(data)
                path.unlink()
                if image.family == self._family:
                    self.flash = dict(image.blocks)
                    shutil.rmtree(self.folder)
                    return


def pico() -> Target:
    """Takes UF2; the image is that of another chip, which the boot loader cannot know."""
    target = real_board("netduinoplus2", uf2={"board_id": "RPI-RP2", "label": "NOWHERE"})
    post = Post(format="uf2", family=FAMILY, source="this test only")
    return Target(target.board.model_copy(update={"post": (post,)}), target.soc)


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where drives are mounted."""
    folder = tmp_path / "media"
    folder.mkdir()
    tool = Uf2Flash(volumes=lambda: tuple(sorted(folder.glob("*"))), wait=2.0, leave=1.0)
    monkeypatch.setattr(flash_module, "FLASH_TOOLS", (tool,))
    return folder


def flash(tmp_path: Path, **arguments: object) -> FlashOutcome:
    manifest = write_board_project(tmp_path / "p", pico())
    return flash_project(tmp_path / "p", manifest, pico(), **arguments)  # type: ignore[arg-type]


def test_the_image_is_copied_and_the_board_leaves(tmp_path: Path, media: Path) -> None:
    (media / "usb stick").mkdir()
    BootLoader(media / "OTHER", "SAMD51J19A-Metro-v0")
    with BootLoader(media / "RPI-RP2").running() as board:
        outcome = flash(tmp_path)
    image = (tmp_path / "p" / "build" / "firmware.elf").read_bytes()[84 : 84 + 64] + code()
    start = 0x08000000
    written = b"".join(board.flash[start + i] for i in range(0, len(image), 256))
    assert written[: len(image)] == image
    assert outcome.tool == "uf2" and str(media / "RPI-RP2") in outcome.summary
    assert not outcome.verified


def test_a_dry_run_copies_nothing(tmp_path: Path, media: Path) -> None:
    with BootLoader(media / "RPI-RP2").running() as board:
        outcome = flash(tmp_path, dry_run=True)
        assert board.flash == {} and board.folder.is_dir()
    source = tmp_path / "p" / "build" / "firmware.uf2"
    assert outcome.command == ("cp", str(source), f"{media / 'RPI-RP2'}{os.sep}")
    assert source.is_file()


def test_no_drive_says_how_to_get_one(tmp_path: Path, media: Path) -> None:
    with pytest.raises(FlashError, match="no drive of a boot loader is mounted") as caught:
        flash(tmp_path)
    assert "BOOTSEL" in (caught.value.next_step or "")


def test_a_drive_that_is_not_mounted_is_named(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "by-label"
    labels.mkdir()
    (labels / "NOWHERE").write_bytes(b"")
    monkeypatch.setattr(uf2_module, "LABELS", labels)
    with pytest.raises(FlashError) as caught:
        flash(tmp_path)
    assert caught.value.next_step == f"mount it: udisksctl mount -b {labels / 'NOWHERE'}"


def test_two_boards_are_told_apart_by_the_user(tmp_path: Path, media: Path) -> None:
    BootLoader(media / "RPI-RP2")
    with BootLoader(media / "RPI-RP21").running() as board:
        with pytest.raises(FlashError, match="several boards wait"):
            flash(tmp_path / "a")
        flash(tmp_path / "b", probe=str(media / "RPI-RP21"))
    assert board.flash


def test_a_boot_loader_that_refuses_the_family_is_noticed(tmp_path: Path, media: Path) -> None:
    refusing = BootLoader(media / "RPI-RP2", family=1).running()
    with refusing, pytest.raises(FlashError, match=r"did not accept firmware\.uf2"):
        flash(tmp_path)


def test_a_full_drive_is_explained(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BootLoader(media / "RPI-RP2")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FlashError, match=r"did not take firmware\.uf2: .*No space left"):
        flash(tmp_path)


def test_a_drive_that_goes_before_the_last_write_returns_has_taken_all(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board resets with its last block: Linux reports an I/O error for the drive then."""
    drive = media / "RPI-RP2"
    BootLoader(drive)

    def gone(descriptor: int) -> None:
        shutil.rmtree(drive)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", gone)
    assert flash(tmp_path).tool == "uf2"


def test_a_touch_brings_the_drive(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    board: list[BootLoader] = []
    stack = contextlib.ExitStack()

    def touch(port: str) -> None:
        touched.append(port)

        def appear() -> None:
            time.sleep(0.2)
            board.append(stack.enter_context(BootLoader(media / "RPI-RP2").running()))

        threading.Thread(target=appear, daemon=True).start()

    monkeypatch.setattr(uf2_module, "touch", touch)
    target = pico()
    method = target.board.flash[0].model_copy(
        update={"options": {"board_id": "RPI-RP2", "touch": True}}
    )
    target = Target(target.board.model_copy(update={"flash": (method,)}), target.soc)
    manifest = write_board_project(tmp_path / "p", target)
    with stack:
        flash_project(tmp_path / "p", manifest, target, port="/dev/ttyACM0")
    assert touched == ["/dev/ttyACM0"] and board[0].flash


def test_the_folders_of_this_computer_can_be_listed() -> None:
    assert all(isinstance(folder, Path) for folder in mounted_volumes())
