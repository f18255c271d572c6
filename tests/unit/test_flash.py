"""Flashing without hardware: order, dry run, and what is said when nothing works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from edgepack.errors import ConfigError, FlashError, MissingToolError, ProjectError, UsageError
from edgepack.flash import Capabilities, FlashOutcome, FlashRequest, flash_project, launch
from edgepack.flash import flash as flash_module
from edgepack.flash.emulator import qemu_command
from edgepack.targets import Kind, Target, load_target
from edgepack.targets.board import FlashMethod
from tests.emulator.echo_project import write_project

_ALL = Capabilities(formats=("elf",), verifies=True, resets=True, needs_hardware=True)


@dataclass(frozen=True)
class FakeTool:
    """A flash tool that does as it is told."""

    name: str
    absent: str | None = None
    broken: str | None = None
    capabilities: Capabilities = _ALL
    install: str = "sudo apt-get install fake"

    def missing(self, request: FlashRequest) -> str | None:
        return self.absent

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        return (self.name, str(request.options["probe"]), request.image.name)

    def flash(self, request: FlashRequest) -> FlashOutcome:
        if self.broken:
            raise FlashError(self.broken)
        return FlashOutcome(self.name, self.command(request), "done")


def real_board(*tools: str) -> Target:
    target = load_target("netduinoplus2")
    board = target.board.model_copy(
        update={
            "kind": Kind.HARDWARE,
            "emulator": None,
            "flash": tuple(
                FlashMethod(tool=name, options={"probe": 7}, source="this test only")
                for name in tools
            ),
        }
    )
    return Target(board, target.soc)


def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *tools: FakeTool, dry_run: bool = False
) -> FlashOutcome:
    monkeypatch.setattr(flash_module, "FLASH_TOOLS", tools)
    target = real_board(*(tool.name for tool in tools))
    manifest = write_project(tmp_path / "p", target, "").model_copy(
        update={"image": "build/firmware.elf"}
    )
    (tmp_path / "p" / "build").mkdir()
    (tmp_path / "p" / "build" / "firmware.elf").write_bytes(b"image")
    return flash_project(tmp_path / "p", manifest, target, dry_run=dry_run)


def test_the_first_tool_that_works_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run(
        tmp_path,
        monkeypatch,
        FakeTool("absent", absent="not installed"),
        FakeTool("broken", broken="no probe found"),
        FakeTool("good"),
        FakeTool("never", broken="must not be asked"),
    )
    assert outcome.command == ("good", "7", "firmware.elf")


def test_every_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FlashError) as caught:
        run(tmp_path, monkeypatch, FakeTool("a", broken="no probe"), FakeTool("b", absent="gone"))
    assert "a: no probe" in caught.value.message and "b: gone" in caught.value.message


def test_nothing_installed_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingToolError) as caught:
        run(tmp_path, monkeypatch, FakeTool("a", absent="not installed"))
    assert caught.value.next_step == "sudo apt-get install fake"


def test_a_dry_run_only_says_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run(tmp_path, monkeypatch, FakeTool("a", broken="must not run"), dry_run=True)
    assert outcome.summary == "would run a 7 firmware.elf"


def test_a_tool_that_the_board_does_not_list_is_refused(tmp_path: Path) -> None:
    target = load_target("netduinoplus2")
    manifest = write_project(tmp_path / "p", target, "").model_copy(update={"image": "main.c"})
    with pytest.raises(ConfigError) as caught:
        flash_project(tmp_path / "p", manifest, target, tool="openocd")
    assert caught.value.allowed == "qemu"


def test_a_project_without_an_image_is_refused(tmp_path: Path) -> None:
    target = load_target("netduinoplus2")
    manifest = write_project(tmp_path / "p", target, "")
    with pytest.raises(ProjectError, match="has no image"):
        flash_project(tmp_path / "p", manifest, target)
    with (
        pytest.raises(ProjectError, match="has no image"),
        launch(tmp_path / "p", manifest, target),
    ):
        pass


def test_a_real_board_cannot_be_started(tmp_path: Path) -> None:
    target = real_board("a")
    manifest = write_project(tmp_path / "p", target, "").model_copy(update={"image": "main.c"})
    with pytest.raises(UsageError, match="name the port"), launch(tmp_path / "p", manifest, target):
        pass


def test_the_emulator_counts_instructions() -> None:
    command = qemu_command(load_target("mps2-an386"), Path("x.elf"), "pty,id=ep")
    assert command[:5] == ("qemu-system-arm", "-machine", "mps2-an386", "-icount", "shift=0")
    assert command[-2:] == ("-kernel", "x.elf")
    assert "-nodefaults" in command


def test_a_missing_emulator_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = load_target("virt-rv32")
    manifest = write_project(tmp_path / "p", target, "").model_copy(update={"image": "main.c"})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="sudo apt-get install qemu-system-misc"):
        flash_project(tmp_path / "p", manifest, target)
