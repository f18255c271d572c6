"""The 1200-baud touch: opening a board's USB serial port at 1200 baud and closing it again starts
its boot loader, where the firmware on it listens for that.

Convention of Arduino's cores (boards.txt: upload.use_1200bps_touch). edgepack's own firmware talks
over a UART and does not know it; then the board's double press of reset does the same.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import serial
from serial.tools.list_ports import comports

from edgepack.errors import FlashError

_BAUD = 1200
_WAIT_SECONDS = 8.0  # Arduino's own tools give up after 10
_POLL_SECONDS = 0.1


def port_names() -> frozenset[str]:
    """The serial ports of this computer at present."""
    return frozenset(port.device for port in comports())


def touch(port: str) -> None:
    """Ask the firmware behind a port to start the boot loader.

    Raises:
        FlashError: the port cannot be opened.
    """
    try:
        link = serial.Serial(port, baudrate=_BAUD)
    except OSError as error:
        raise FlashError(
            f"{port} cannot be opened for the 1200-baud touch: {error}",
            next_step="press reset twice to start the boot loader, or: edgepack devices",
        ) from error
    # a board that resets at once takes its port away under our hands, which is what we want
    with contextlib.suppress(OSError):
        link.dtr = False
    with contextlib.suppress(OSError):
        link.close()


def boot_loader_port(
    port: str,
    before: frozenset[str],
    *,
    names: Callable[[], frozenset[str]] = port_names,
    timeout: float = _WAIT_SECONDS,
) -> str:
    """The port under which the board shows up after a touch: a new one, or the same one again.

    Args:
        port: the one that was touched.
        before: all ports before the touch.
        names: lists the ports.
        timeout: seconds to wait.
    """
    deadline = time.monotonic() + timeout
    vanished = False
    while time.monotonic() < deadline:
        now = names()
        new = sorted(now - before)
        if new:
            return new[0]
        vanished = vanished or port not in now
        if vanished and port in now:
            return port
        before &= now
        time.sleep(_POLL_SECONDS)
    return port  # it may have been in its boot loader already
