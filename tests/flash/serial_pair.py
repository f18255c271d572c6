"""A pseudo-terminal whose other end is a program of the test: the device behind a serial port."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from collections.abc import Callable, Iterator


class Line:
    """The device's end: bytes that the host sent, and a way to answer."""

    def __init__(self, descriptor: int, stop: threading.Event) -> None:
        self._descriptor = descriptor
        self._stop = stop
        self._buffer = b""

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes.

        Raises:
            EOFError: the test is over.
        """
        while len(self._buffer) < count:
            if self._stop.is_set():
                raise EOFError
            if select.select([self._descriptor], [], [], 0.02)[0]:
                try:
                    self._buffer += os.read(self._descriptor, 4096)
                except OSError:  # nobody has the port open just now
                    self._stop.wait(0.02)
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def write(self, data: bytes) -> None:
        os.write(self._descriptor, data)


@contextlib.contextmanager
def serial_device(device: Callable[[Line], None]) -> Iterator[str]:
    """Run `device` in a thread behind a port; yields the port's path."""
    master, slave = os.openpty()
    tty.setraw(slave)
    stop = threading.Event()

    def run() -> None:
        with contextlib.suppress(EOFError):
            device(Line(master, stop))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        thread.join(5.0)
        os.close(master)
        os.close(slave)
