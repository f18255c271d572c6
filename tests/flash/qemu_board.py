"""A QEMU board with blank flash that waits, halted, to be flashed through its gdbserver."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from edgepack import runner
from edgepack.targets import load_target


@dataclass(frozen=True)
class Blank:
    """Where its gdbserver and its serial port listen."""

    gdb_port: int
    serial: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def blank_board(name: str) -> Iterator[Blank]:
    """The board of that target, without an image; QEMU ends with the block."""
    emulator = load_target(name).board.emulator
    assert emulator is not None
    with socket.socket() as gdb, socket.socket() as serial:
        for listener in (gdb, serial):
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
        command = [
            *(emulator.program, "-machine", emulator.machine, *emulator.args),
            *("-nodefaults", "-display", "none", "-monitor", "none", "-S"),
            *("-chardev", f"socket,id=gdb,fd={gdb.fileno()},server=on,wait=off,nodelay=on"),
            *("-gdb", "chardev:gdb"),
            *("-chardev", f"socket,id=ep,fd={serial.fileno()},server=on,wait=off,nodelay=on"),
            *("-serial", "chardev:ep"),
        ]
        fds = (gdb.fileno(), serial.fileno())
        with runner.background(command, pass_fds=fds, stderr=subprocess.STDOUT) as process:
            ports = [listener.getsockname()[1] for listener in (gdb, serial)]
            gdb.close()
            serial.close()
            yield Blank(ports[0], f"socket://127.0.0.1:{ports[1]}", process)
