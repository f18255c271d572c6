"""How QEMU and the host program are started: commands only, nothing is run here."""

from __future__ import annotations

from pathlib import Path

from edgepack import runner
from edgepack.errors import ConfigError
from edgepack.targets import Target

# Debian and Ubuntu package names
_INSTALL = {
    "qemu-system-arm": "sudo apt-get install qemu-system-arm",
    "qemu-system-riscv32": "sudo apt-get install qemu-system-misc",
}


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
