"""The command line of every tool, and what becomes of its messages; programs are played by scripts.

The options are those of the tools' own help: OpenOCD 0.12, st-flash 1.7, bossac 1.9.1,
teensy_loader_cli 2.2. The messages were taken from these programs, or from their sources where they
need hardware.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from edgepack import runner
from edgepack.errors import FlashError, MissingToolError, UsageError
from edgepack.flash import FLASH_TOOLS, FlashOutcome, flash_project
from edgepack.flash import flash as flash_module
from edgepack.flash.bossac import BossacFlash
from edgepack.flash.program import COMMON_HINTS
from edgepack.flash.teensy import TeensyFlash
from tests.flash.fake_program import FakeProgram
from tests.flash.mini_elf import real_board, write_board_project

ST: dict[str, object] = {"config": ["interface/stlink.cfg", "target/stm32f4x.cfg"]}
OPTIONS: dict[str, dict[str, object]] = {
    "openocd": ST,
    "stlink": {},
    "bossac": {"offset": 0x4000, "touch": False},
    "teensy": {"mcu": "TEENSY41"},
    "gdb": {},
}
PROGRAM = {"stlink": "st-flash", "teensy": "teensy_loader_cli", "gdb": "gdb-multiarch"}
SUCCESS = {
    "openocd": "** Programming Finished **\n** Verify Started **\n** Verified OK **\n",
    "stlink": "2026-01-01T00:00:00 INFO common.c: Flash written and verified! jolly good!\n",
    "bossac": "Verify successful\nCPU reset.\n",
    "teensy": "Found HalfKay Bootloader\nProgramming....\nBooting\n",
    "gdb": "Transfer rate: 2 KB/sec.\nSection .text, range 0x0 -- 0x9: matched.\n",
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def fake(path: Path, tool: str) -> FakeProgram:
    return FakeProgram(path, PROGRAM.get(tool, tool)).says(SUCCESS[tool])


def flash(tmp_path: Path, tool: str, **arguments: object) -> FlashOutcome:
    board = real_board("netduinoplus2", **{tool: OPTIONS[tool]})
    manifest = write_board_project(tmp_path / "p", board)
    return flash_project(tmp_path / "p", manifest, board, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tool", "arguments", "command"),
    [
        (
            "openocd",
            {"probe": "066AFF49"},
            "openocd -f interface/stlink.cfg -f target/stm32f4x.cfg -c 'adapter serial {066AFF49}' "
            "-c 'program {BUILD/firmware.elf} verify reset exit'",
        ),
        (
            "stlink",
            {"probe": "066AFF49"},
            "st-flash --reset --serial 066AFF49 --format binary write BUILD/firmware.bin "
            "0x08000000",
        ),
        (
            "bossac",
            {"port": "/dev/ttyACM3"},
            "bossac --port=ttyACM3 --usb-port=1 --offset=0x4000 --erase --write --verify --reset "
            "BUILD/firmware.bin",
        ),
        ("teensy", {}, "teensy_loader_cli --mcu=TEENSY41 -w -v BUILD/firmware.hex"),
        (
            "gdb",
            {"probe": "box:3333"},
            "gdb-multiarch -nx -batch -ex 'set confirm off' -ex 'set pagination off' "
            "-ex 'set remotetimeout 10' -ex 'set tcp connect-timeout 3' "
            "-ex 'target extended-remote box:3333' -ex load -ex 'compare-sections -r' "
            "-ex 'monitor reset' -ex detach BUILD/firmware.elf",
        ),
    ],
)
def test_a_dry_run_says_what_a_run_does(
    tool: str, arguments: dict[str, str], command: str, tmp_path: Path, path: Path
) -> None:
    program = fake(path, tool)
    outcome = flash(tmp_path / "dry", tool, dry_run=True, **arguments)
    build = tmp_path / "dry" / "p" / "build"
    assert list(outcome.command) == shlex.split(command.replace("BUILD", str(build)))
    assert outcome.summary == f"would run {shlex.join(outcome.command)}"
    assert program.calls == []
    # the file that the command names is there, so that the line can be typed as it stands
    named = re.findall(r"BUILD/(firmware\.\w+)", command)
    assert named and all((build / name).is_file() for name in named)
    done = flash(tmp_path / "wet", tool, **arguments)
    wet = str(tmp_path / "wet" / "p" / "build")
    assert program.calls == [[word.replace(str(build), wet) for word in outcome.command[1:]]]
    by_name = {flasher.name: flasher for flasher in FLASH_TOOLS}
    assert done.verified is by_name[tool].capabilities.verifies


@pytest.mark.parametrize("tool", list(OPTIONS))
def test_a_missing_program_says_how_to_install_it(tool: str, tmp_path: Path, path: Path) -> None:
    with pytest.raises(MissingToolError, match="installed") as caught:
        flash(tmp_path, tool, port="/dev/ttyACM3")
    assert (caught.value.next_step or "").startswith("sudo apt-get install ")


# tool, what the program prints, its exit code, the meaning, a part of the next step
FAILURES = [
    ("openocd", "Error: open failed\nin procedure 'program'\n", 1, "no debug probe", "--probe"),
    (
        "openocd",
        "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\nError: open failed\n",
        1,
        "may not open the debug probe",
        "udev",
    ),
    (
        "openocd",
        "Error: init mode failed (unable to connect to the target)\n",
        1,
        "chip does",
        "hold",
    ),
    ("openocd", "** Programming Finished **\n** Verify Failed **\n", 1, "differs", "worn"),
    ("openocd", "Error: stm32x device protected\nflash is locked\n", 1, "locked", "unlock"),
    ("openocd", "Can't find target/stm32f9x.cfg\n", 1, "lacks a configuration file", "newer"),
    ("openocd", "** Programming Finished **\n", 0, "did not report success", "by hand"),
    ("stlink", "WARN usb.c: Couldn't find any ST-Link devices\n", 255, "no ST-Link", "st-info"),
    ("stlink", "Flash memory is write protected\n", 255, "locked", "option"),
    ("stlink", "Failed to connect to target\n", 255, "chip does not answer", "hold reset"),
    ("stlink", "Verification of flash failed at offset: 4\n", 255, "differs", "worn"),
    (
        "stlink",
        "libusb: error [get_usbfs_fd] libusb couldn't open USB device, errno=13\n"
        "libusb: error requires write access: LIBUSB_ERROR_ACCESS\n",
        255,
        "may not open the debug probe",
        "udev",
    ),
    ("bossac", "No device found on ttyACM3\n", 1, "no SAM-BA boot loader", "press reset twice"),
    ("bossac", "Device unsupported\n", 1, "does not know the chip", "Arduino"),
    ("bossac", "Verify failed\nPage errors: 2\nByte errors: 9\n", 2, "differs", "worn"),
    ("bossac", "Flash page is locked\n", 1, "locked", "--unlock"),
    ("teensy", 'Unknown MCU type "TEENSY99"\n', 1, "does not know the board", "--list-mcus"),
    ("teensy", "Unable to claim interface, check USB permissions\n", 1, "may not open", "rules"),
    ("teensy", "Found HalfKay Bootloader\nerror writing to Teensy\n", 1, "stopped", "button"),
    ("gdb", "localhost:3333: Connection refused.\n", 0, "no gdbserver", "start one"),
    ("gdb", "Error erasing flash with vFlashErase packet\n", 0, "could not write", "locked"),
    (
        "gdb",
        "Transfer rate: 1 KB/sec.\nSection .text, range 0x0 -- 0x9: MIS-MATCHED!\n",
        0,
        "differs",
        "ROM",
    ),
]


@pytest.mark.parametrize(("tool", "said", "code", "meaning", "advice"), FAILURES)
def test_a_failure_is_explained(
    tool: str, said: str, code: int, meaning: str, advice: str, tmp_path: Path, path: Path
) -> None:
    fake(path, tool).says("working\n", err=said, code=code)
    with pytest.raises(FlashError) as caught:
        flash(tmp_path, tool, port="/dev/ttyACM3")
    assert meaning in caught.value.message
    assert advice in (caught.value.next_step or "")
    # the command and the program's own words stay visible
    assert PROGRAM.get(tool, tool) in caught.value.message
    assert said.splitlines()[-1] in caught.value.message


def test_an_unknown_failure_shows_the_last_words(tmp_path: Path, path: Path) -> None:
    fake(path, "openocd").says("".join(f"line {i}\n" for i in range(30)), code=3)
    with pytest.raises(FlashError, match="failed with exit code 3") as caught:
        flash(tmp_path, "openocd")
    assert "line 29" in caught.value.message and "line 5\n" not in caught.value.message


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("could not open port /dev/ttyUSB0: [Errno 13] Permission denied", "the serial port"),
        ("PermissionError: [Errno 13] Permission denied: '/dev/ttyACM0'", "the serial port"),
        ("usb.core.USBError: [Errno 13] Access denied (insufficient permissions)", "debug probe"),
        ("[Errno 2] No such file or directory: '/dev/ttyUSB9'", "does not exist"),
        ("[Errno 16] Device or resource busy", "another program"),
        ("[Errno 11] Could not exclusively lock port /dev/ttyUSB0", "another program"),
    ],
)
def test_what_all_tools_say_alike(said: str, meaning: str, tmp_path: Path, path: Path) -> None:
    fake(path, "openocd").says(err=said + "\n", code=1)
    with pytest.raises(FlashError) as caught:
        flash(tmp_path, "openocd")
    assert meaning in caught.value.message.splitlines()[0]
    assert caught.value.next_step in {hint.next_step for hint in COMMON_HINTS}


def test_the_progress_of_a_program_is_told(tmp_path: Path, path: Path) -> None:
    said = "Write 3 bytes\n\r[=====] 25% (1/4 pages)\r[====] 100% (4/4 pages)\n"
    fake(path, "bossac").says(said + SUCCESS["bossac"])
    seen: list[float] = []

    def progress(stage: str, fraction: float | None, message: str) -> None:
        assert stage == "bossac"
        seen.append(fraction or 0.0)

    flash(tmp_path, "bossac", port="/dev/ttyACM3", progress=progress)
    assert max(seen) == 1.0


def test_a_program_that_hangs_is_ended(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """teensy_loader_cli -w waits for the button for ever."""
    fake(path, "teensy").says(
        "Waiting for Teensy device...\n (hint: press the reset button)\n", sleep=60
    )
    monkeypatch.setattr(flash_module, "FLASH_TOOLS", (TeensyFlash(wait=1.0),))
    with pytest.raises(FlashError, match="no Teensy waits in its boot loader") as caught:
        flash(tmp_path, "teensy")
    assert "press the button" in (caught.value.next_step or "")


def test_the_next_tool_is_tried_and_what_was_tried_is_told(tmp_path: Path, path: Path) -> None:
    fake(path, "stlink").says(err="Couldn't find any ST-Link devices\n", code=255)
    fake(path, "gdb")
    tools = {name: OPTIONS[name] for name in ("openocd", "stlink", "bossac", "gdb")}
    board = real_board("netduinoplus2", **tools)
    manifest = write_board_project(tmp_path / "p", board)
    outcome = flash_project(tmp_path / "p", manifest, board)
    assert outcome.tool == "gdb"
    openocd, stlink, bossac = outcome.attempts
    assert openocd.why == "openocd is not installed: sudo apt-get install openocd"
    assert stlink.why.startswith("no ST-Link is connected")
    assert "bossac is not installed" in bossac.why


def test_bossac_needs_a_port_of_this_computer(tmp_path: Path, path: Path) -> None:
    fake(path, "bossac")
    with pytest.raises(UsageError, match="none is named"):
        flash(tmp_path, "bossac")


def test_bossac_follows_the_board_to_its_boot_loaders_port(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake(path, "bossac")
    lists = [frozenset({"/dev/ttyACM0"}), frozenset(), frozenset({"/dev/ttyACM1"})]
    touched: list[str] = []
    tool = BossacFlash(names=lambda: lists.pop(0) if len(lists) > 1 else lists[0], wait=5.0)
    monkeypatch.setattr(flash_module, "FLASH_TOOLS", (tool,))
    monkeypatch.setattr("edgepack.flash.bossac.touch", touched.append)
    board = real_board("netduinoplus2", bossac={"offset": 0x4000})
    manifest = write_board_project(tmp_path / "p", board)
    outcome = flash_project(tmp_path / "p", manifest, board, port="/dev/ttyACM0")
    assert touched == ["/dev/ttyACM0"]
    assert program.calls[0][0] == "--port=ttyACM1" == outcome.command[1]


REAL = {
    "openocd": ("no debug probe is connected", {}),
    "stlink": ("no ST-Link is connected", {}),
    "bossac": ("no SAM-BA boot loader answers", {"port": "/dev/ttyNOWHERE"}),
}


@pytest.mark.parametrize("tool", list(REAL))
def test_the_real_program_takes_the_command_line(tool: str, tmp_path: Path) -> None:
    """No board is attached, so that it must fail; for that reason, and not for its arguments."""
    if runner.which(PROGRAM.get(tool, tool)) is None:
        pytest.skip(f"{PROGRAM.get(tool, tool)} is not installed")
    meaning, arguments = REAL[tool]
    with pytest.raises(FlashError, match=meaning):
        flash(tmp_path, tool, **arguments)


def test_a_package_is_started_from_this_environment(tmp_path: Path) -> None:
    """Not whatever is first on PATH, which may be another version."""
    board = real_board("netduinoplus2", pyocd={"target": "stm32f405xx"})
    manifest = write_board_project(tmp_path / "p", board)
    outcome = flash_project(tmp_path / "p", manifest, board, dry_run=True)
    assert outcome.command[:3] == (sys.executable, "-m", "pyocd")
