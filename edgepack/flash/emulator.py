"""Which emulator plays a board, and how it is started."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgepack import runner
from edgepack.errors import ConfigError, MissingToolError, UnsupportedError
from edgepack.flash.unicorn_board import runnable, unicorn_install, unicorn_version, why_not
from edgepack.targets import Target

Player = Literal["auto", "qemu", "unicorn"]
UNICORN: Literal["unicorn"] = "unicorn"
QEMU: Literal["qemu"] = "qemu"
_UNICORN_BOARD = "edgepack.flash.unicorn_board"

# Debian and Ubuntu package names
_INSTALL = {
    "qemu-system-arm": "sudo apt-get install qemu-system-arm",
    "qemu-system-riscv32": "sudo apt-get install qemu-system-misc",
}


@dataclass(frozen=True)
class Emulator:
    """What plays a board: its name in `Player`, and its version."""

    name: Literal["qemu", "unicorn"]
    version: str


def choose_emulator(target: Target, wanted: Player = "auto") -> Emulator:
    """What plays a board: QEMU where it is installed, else unicorn where that has the board.

    Raises:
        ConfigError: the target is not emulated.
        MissingToolError: the wanted one, or each of both, is not installed.
        UnsupportedError: unicorn is wanted for a board that it cannot play.
    """
    record = target.board.emulator
    if record is None:
        raise ConfigError(f"target {target.id} is not an emulated board")
    reason = why_not(target)
    qemu = None if wanted == UNICORN else runner.which(record.program)
    if qemu is not None:
        return Emulator(QEMU, _qemu_version(qemu))
    if wanted == QEMU:
        runner.require(record.program, install=install_command(record.program))
    if wanted == UNICORN and reason is not None:
        raise UnsupportedError(
            f"the unicorn board cannot play {target.id}: {reason}",
            allowed=", ".join(runnable()),
            next_step=f"--emulator qemu ({install_command(record.program)})",
        )
    version = unicorn_version() if reason is None else None
    if version is not None:
        return Emulator(UNICORN, version)
    if wanted == UNICORN:
        raise MissingToolError("unicorn is not installed", next_step=unicorn_install())
    other = "" if reason is not None else f", or without root rights {unicorn_install()}"
    raise MissingToolError(
        f"{record.program} is not installed, and nothing else plays {target.id}",
        next_step=install_command(record.program) + other,
    )


def _qemu_version(program: str) -> str:
    text = runner.run((program, "--version"), timeout=20).stdout
    found = re.search(r"version (\S+)", text)
    return found[1] if found is not None else text.strip()


def unicorn_command(target: Target, image: Path, descriptor: int) -> tuple[str, ...]:
    """The command that runs an image in unicorn; it inherits a listening socket."""
    own = (sys.executable, "-P", "-m", _UNICORN_BOARD)
    return (*own, target.id, str(image), str(descriptor))


def install_command(program: str) -> str:
    """The command that installs an emulator."""
    return _INSTALL.get(program, f"install {program} and put it on PATH")


def qemu_program(target: Target) -> str:
    """The path of the target's emulator.

    Raises:
        ConfigError: the target is not emulated.
        MissingToolError: its emulator is not installed.
    """
    emulator = target.board.emulator
    if emulator is None:
        raise ConfigError(f"target {target.id} is not an emulated board")
    return runner.require(emulator.program, install=install_command(emulator.program))


def qemu_command(target: Target, image: Path, serial: str) -> tuple[str, ...]:
    """The command that runs an image.

    Args:
        target: an emulated board.
        image: the ELF file.
        serial: QEMU's description of the character device, such as `pty` or `tcp:HOST:PORT,server`.
    """
    emulator = target.board.emulator
    if emulator is None:
        raise ConfigError(f"target {target.id} is not an emulated board")
    return (
        emulator.program,
        "-machine",
        emulator.machine,
        *emulator.args,
        "-nodefaults",
        "-display",
        "none",
        "-monitor",
        "none",
        "-chardev",
        serial,
        "-serial",
        "chardev:ep",
        "-kernel",
        str(image),
    )
