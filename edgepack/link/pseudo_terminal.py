"""A pseudo-terminal in front of a socket, so that any program opens an emulated board as a port."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgepack.errors import UsageError

_CHUNK = 4096
# Bytes kept for a side that is slow to take them; more are not read from the other side meanwhile.
_KEPT = 65536
# How often it is looked whether a program has opened the port: poll() has no event for that.
_CLOSED_SECONDS = 0.01


@dataclass
class PseudoTerminal:
    """An open bridge.

    Attributes:
        path: what a program opens, such as /dev/pts/3.
        dropped: bytes that the device said while no program had the port open.
    """

    path: str
    dropped: int = 0
    _thread: threading.Thread | None = field(default=None, repr=False)

    def is_alive(self) -> bool:
        """Whether bytes still travel: False once the device has closed its side."""
        return self._thread is not None and self._thread.is_alive()


@contextlib.contextmanager
def pseudo_terminal(device: socket.socket) -> Iterator[PseudoTerminal]:
    """Carry bytes between a socket and a new pseudo-terminal for as long as the block runs.

    It behaves as a serial adapter does: programs may open and close it again and again, and what
    the device says while nobody has it open is lost. A baud rate has no effect.

    Raises:
        UsageError: this system has no pseudo-terminals.
    """
    if not hasattr(os, "openpty"):
        raise UsageError(
            "this system has no pseudo-terminals",
            allowed="Linux or macOS",
            next_step="edgepack bench DIR starts the board by itself and needs none",
        )
    import tty

    master, slave = os.openpty()
    stop_reader, stop_writer = os.pipe()
    try:
        tty.setraw(slave)  # or the terminal would echo what the device says back to it
        bridge = PseudoTerminal(os.ttyname(slave))
        os.close(slave)  # from now on poll() tells whether a program has it open
        os.set_blocking(master, False)
        device.setblocking(False)
        pump = _Pump(master, device, stop_reader, bridge)
        thread = threading.Thread(target=pump.run, name="pseudo-terminal", daemon=True)
        bridge._thread = thread
        thread.start()
        try:
            yield bridge
        finally:
            os.write(stop_writer, b".")
            thread.join()
    finally:
        for descriptor in (master, stop_reader, stop_writer):
            os.close(descriptor)


class _Pump:
    """The loop of the bridge's thread."""

    def __init__(
        self, master: int, device: socket.socket, stop: int, bridge: PseudoTerminal
    ) -> None:
        self._master, self._device, self._stop, self._bridge = master, device, stop, bridge
        self._to_device = bytearray()
        self._to_host = bytearray()
        self._poll = select.poll()
        self._poll.register(stop, select.POLLIN)

    def run(self) -> None:
        """Until told to stop, or until the device's side is closed."""
        with contextlib.suppress(ConnectionError):
            while self._turn():
                continue

    def _turn(self) -> bool:
        closed = bool(self._events(self._master, select.POLLIN) & select.POLLHUP)
        if closed:  # its last bytes are still for the device
            self._bridge.dropped += len(self._to_host)
            self._to_host.clear()
        wanted = self._wanted(closed)
        for descriptor, events in wanted.items():
            self._poll.register(descriptor, events)
        ready = dict(self._poll.poll(_CLOSED_SECONDS * 1000 if closed else None))
        for descriptor in wanted:
            self._poll.unregister(descriptor)
        if self._stop in ready:
            return False
        return self._move(ready, closed or bool(ready.get(self._master, 0) & select.POLLHUP))

    def _wanted(self, closed: bool) -> dict[int, int]:
        device = select.POLLOUT if self._to_device else 0
        device |= select.POLLIN if len(self._to_host) < _KEPT else 0
        host = select.POLLOUT if self._to_host else 0
        host |= select.POLLIN if len(self._to_device) < _KEPT else 0
        # a closed port would be reported at once, always
        return {self._device.fileno(): device, **({} if closed else {self._master: host})}

    def _move(self, ready: dict[int, int], closed: bool) -> bool:
        device = ready.get(self._device.fileno(), 0)
        if device & (select.POLLIN | select.POLLHUP | select.POLLERR):
            data = self._device.recv(_CHUNK)
            if not data:
                return False
            self._to_host += data
        if len(self._to_device) < _KEPT:
            with contextlib.suppress(OSError):  # nothing there, or nobody has it open
                self._to_device += os.read(self._master, _CHUNK)
        if self._to_host and not closed:
            with contextlib.suppress(BlockingIOError):
                del self._to_host[: os.write(self._master, self._to_host)]
        if self._to_device:
            with contextlib.suppress(BlockingIOError):
                del self._to_device[: self._device.send(self._to_device)]
        return True

    @staticmethod
    def _events(descriptor: int, events: int) -> int:
        poll = select.poll()
        poll.register(descriptor, events)
        return dict(poll.poll(0)).get(descriptor, 0)
