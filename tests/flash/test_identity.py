"""After flashing the board is asked which image it runs; a device in memory plays the board."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgepack import cli
from edgepack.commands import build
from edgepack.errors import DeviceSilentError, PortError, WrongImageError
from edgepack.flash import flash as flash_module
from edgepack.flash.openocd import OpenocdFlash
from edgepack.flash.uf2 import Uf2Flash
from edgepack.link.fake import FakeDevice, FakeModel, Mishap
from edgepack.link.fake_server import FakeServer
from edgepack.link.framed import LinkTiming
from edgepack.manifest import read_manifest, write_manifest
from edgepack.pipeline import flashing
from edgepack.pipeline.devices import Attached
from edgepack.pipeline.flashing import Flashed, flash_and_identify, identify
from edgepack.targets import Target
from tests.flash.fake_program import FakeProgram
from tests.flash.mini_elf import real_board, write_board_project
from tests.flash.test_uf2_copy import BootLoader, pico

BUILD_ID = "00112233445566aa"
OTHER_ID = "ffeeddccbbaa9988"
QUICK = LinkTiming(hello=1.0, reply=0.2)


@contextmanager
def board_with(build_id: str, mishap: Mishap | None = None) -> Iterator[str]:
    model = FakeModel((4,), (4,), lambda data: [[data]], name="kws", build_id=build_id)
    with FakeServer(FakeDevice(model, mishap or Mishap())) as server:
        yield server.url


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A real board with an OpenOCD that always succeeds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    FakeProgram(folder, "openocd").says("** Verified OK **\n")
    monkeypatch.setenv("PATH", str(folder))
    return real_board("netduinoplus2", openocd={"config": ["board.cfg"]})


@pytest.fixture
def project(tmp_path: Path, board: Target) -> Path:
    manifest = write_board_project(tmp_path / "p", board)
    write_manifest(tmp_path / "p", manifest.model_copy(update={"build_id": BUILD_ID}))
    return tmp_path / "p"


def attached(*ports: str) -> tuple[Attached, ...]:
    return tuple(Attached(port, "", None, None, ("netduinoplus2",)) for port in ports)


def flash(
    project: Path, board: Target, port: str | None = None, found: tuple[Attached, ...] = ()
) -> Flashed:
    manifest = read_manifest(project)
    return flash_and_identify(project, manifest, board, port=port, devices=lambda: found)


def test_the_board_names_the_build_that_was_flashed(project: Path, board: Target) -> None:
    with board_with(BUILD_ID) as port:
        flashed = flash(project, board, port)
    assert (flashed.device_build_id, flashed.port) == (BUILD_ID, port)
    assert flashed.not_asked is None


def test_another_build_is_an_error_that_names_both(project: Path, board: Target) -> None:
    with board_with(OTHER_ID) as port, pytest.raises(WrongImageError) as caught:
        flash(project, board, port)
    assert caught.value.message.startswith("this board runs something else")
    assert OTHER_ID in caught.value.message and BUILD_ID in (caught.value.allowed or "")


def test_the_port_of_the_only_board_of_its_kind_is_found(project: Path, board: Target) -> None:
    with board_with(BUILD_ID) as port:
        assert flash(project, board, found=attached(port)).device_build_id == BUILD_ID


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (attached(), "no serial port is known"),
        (attached("/dev/ttyACM0", "/dev/ttyACM1"), "several boards may be it"),
        ((Attached("/dev/ttyS0", "", None, None, ("microbit",)),), "no serial port is known"),
    ],
)
def test_without_a_port_it_says_that_nothing_was_asked(
    found: tuple[Attached, ...], why: str, project: Path, board: Target
) -> None:
    flashed = flash(project, board, found=found)
    assert flashed.device_build_id is None and why in (flashed.not_asked or "")


def test_a_silent_board_is_told_apart_from_a_failed_flash() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"socket://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(DeviceSilentError, match="openocd wrote firmware") as caught:
            identify(url, 115200, BUILD_ID, after="openocd wrote firmware.elf", timing=QUICK)
    assert "does not say which image it runs" in caught.value.message


def test_a_port_that_stays_away_is_an_error(
    monkeypatch: pytest.MonkeyPatch, project: Path, board: Target
) -> None:
    monkeypatch.setattr(flashing, "_PORT_SECONDS", 0.3)
    with pytest.raises(PortError):
        flash(project, board, "/dev/ttyNOWHERE")


def test_the_boot_loaders_port_is_not_the_firmwares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path, board: Target
) -> None:
    """UF2 boards flash over native USB, and edgepack's firmware talks over a UART."""
    media = tmp_path / "media"
    tool = Uf2Flash(volumes=lambda: tuple(media.glob("*")), leave=5.0)
    monkeypatch.setattr(flash_module, "FLASH_TOOLS", (tool,))
    monkeypatch.setattr(flashing, "FLASH_TOOLS", (tool,))
    with BootLoader(media / "RPI-RP2").running():
        flashed = flash_and_identify(
            project, read_manifest(project), pico(), port="/dev/ttyACM0", devices=tuple
        )
    assert "/dev/ttyACM0 is the boot loader's" in (flashed.not_asked or "")


# -- the command


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, board: Target) -> Target:
    """The command finds the test's board under the name in the manifest."""
    monkeypatch.setattr("edgepack.targets.load_target", lambda name: board)
    monkeypatch.setattr("edgepack.pipeline.flashing.attached_devices", tuple)
    return board


def test_the_command_reports_for_machines(
    project: Path, loaded: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    with board_with(BUILD_ID) as port:
        assert cli.run(["flash", str(project), "--port", port, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["device_build_id"] == said["build_id"] == BUILD_ID
    assert said["tool"] == "openocd" and said["compared"] is True and said["attempts"] == []
    assert said["command"][-1].startswith("program {")


def test_the_command_reports_for_people(
    project: Path, loaded: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    with board_with(BUILD_ID) as port:
        assert cli.run(["flash", str(project), "--port", port]) == 0
    printed = capsys.readouterr()
    assert "openocd wrote firmware.elf to netduinoplus2, read back and equal" in printed.out
    assert f"runs build {BUILD_ID}" in printed.out
    assert f"next:  edgepack bench {project} --port {port}\n" in printed.err


def test_the_command_says_when_it_did_not_ask(
    project: Path, loaded: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["flash", str(project)]) == 0
    assert "was not asked which image it runs: no serial port is known" in capsys.readouterr().out


def test_the_command_ends_with_15_for_another_image(
    project: Path, loaded: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    with board_with(OTHER_ID) as port:
        assert cli.run(["flash", str(project), "--port", port]) == WrongImageError.exit_code
    printed = capsys.readouterr().err
    assert OTHER_ID in printed and BUILD_ID in printed


def test_a_dry_run_touches_nothing(
    project: Path, loaded: Target, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["flash", str(project), "--tool", "openocd", "--probe", "AB12", "--dry-run"]
    assert cli.run(arguments) == 0
    out = capsys.readouterr().out
    assert "would run openocd -f board.cfg -c 'adapter serial {AB12}'" in out
    assert FakeProgram(tmp_path / "bin", "openocd").calls == []


def test_a_program_that_may_not_be_executed_is_told(
    project: Path, loaded: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bin" / "openocd"
    program.chmod(program.stat().st_mode & ~(stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH))
    assert cli.run(["flash", str(project)]) == 8
    assert OpenocdFlash().install in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "step"), [("nucleo-l4r5zi", "flash"), ("netduinoplus2", "bench"), ("host", "bench")]
)
def test_a_real_board_is_flashed_before_it_is_benchmarked(
    project: Path, capsys: pytest.CaptureFixture[str], target: str, step: str
) -> None:
    manifest = read_manifest(project).model_copy(update={"target": target})
    build._show(project, manifest)
    assert capsys.readouterr().err.endswith(f"next:  edgepack {step} {project}\n")
