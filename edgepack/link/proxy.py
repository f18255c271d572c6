"""A TCP port in front of a device's, whose line can be spoilt, slowed down, cut and moved.

Between edgepack and a board, a host program or an emulator; one host at a time, as on a serial
port. When the device goes away the host's side may stay open (`holds_host`), as it does with a USB
adapter whose board restarts.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from edgepack.link.faulty import FaultRates, LineFaults, Piece

_CHUNK = 4096
_SLICE = 32  # bytes that a line with a rate delivers at a time
_IDLE_SECONDS = 0.2
_KEPT = 16384  # bytes of what the device said
_RETRY_SECONDS = 0.01

Address = tuple[str, int]


@dataclass(frozen=True)
class Incident:
    """Something that happens once, when so many bytes have passed the proxy in both directions.

    `do` runs in the proxy's thread.
    """

    after_bytes: int
    do: Callable[[FaultProxy], None]


class _Lane:
    """One direction: faults, then a line of a certain rate."""

    def __init__(self, faults: LineFaults, rate: float | None) -> None:
        self.faults = faults
        self.passed = 0
        self._rate = rate
        self._queue: deque[Piece] = deque()
        self._free_at = 0.0

    def take(self, data: bytes) -> None:
        if not self._queue:  # a line that had nothing to do has not saved up time
            self._free_at = max(self._free_at, time.monotonic())
        self._queue.extend(p for p in self.faults.spoil(data) if p.data or p.pause)

    def clear(self) -> None:
        self._queue.clear()
        self._free_at = 0.0

    def due(self, now: float) -> bytes:
        """What arrives now: at most one piece, and no more than the line carries."""
        while self._queue and now >= self._free_at:
            piece = self._queue.popleft()
            if piece.pause:
                self._free_at = now + piece.pause
                self._queue.appendleft(Piece(0.0, piece.data))
                continue
            if not piece.data:
                continue
            data = piece.data
            if self._rate is not None:
                data, rest = data[:_SLICE], data[_SLICE:]
                if rest:
                    self._queue.appendleft(Piece(0.0, rest))
                # from when it was free, not from now: after a late wake-up the line catches up
                self._free_at += len(data) / self._rate
            self.passed += len(data)
            return data
        return b""

    def wait(self, now: float) -> float:
        """Seconds until `due` may have something."""
        return max(0.0, self._free_at - now) if self._queue else _IDLE_SECONDS


class FaultProxy:
    """Use as a context manager; `url` is what edgepack opens.

    Args:
        device: gives the address of the device, which may change when it restarts.
        to_device, to_host: the faults of each direction.
        seed: of the faults.
        rate: bytes a second of each direction, or None for as fast as it goes.
        incidents: what happens on the way.
        holds_host: the host's connection outlives the device's; a new one is made when it can be.
    """

    def __init__(
        self,
        device: Callable[[], Address],
        to_device: FaultRates | None = None,
        to_host: FaultRates | None = None,
        *,
        seed: int = 0,
        rate: float | None = None,
        incidents: tuple[Incident, ...] = (),
        holds_host: bool = False,
    ) -> None:
        self._device_address = device
        self._to_device = _Lane(LineFaults(to_device or FaultRates(), 2 * seed), rate)
        self._to_host = _Lane(LineFaults(to_host or FaultRates(), 2 * seed + 1), rate)
        self._incidents = sorted(incidents, key=lambda incident: incident.after_bytes)
        self._holds_host = holds_host
        self._listener: socket.socket | None = None
        self._port = 0
        self._host: socket.socket | None = None
        self._device: socket.socket | None = None
        self._ended = threading.Event()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._said = bytearray()
        self.silent = False  # nothing reaches the host any more
        self.incidents_met = 0
        self.failure: BaseException | None = None  # of the proxy itself

    @property
    def url(self) -> str:
        """Where it listens, or listened last."""
        return f"socket://127.0.0.1:{self._port}"

    @property
    def in_use(self) -> bool:
        """Whether a host has the port open."""
        return self._host is not None

    @property
    def faults(self) -> int:
        """Bytes that were spoilt, and pauses."""
        return self._to_device.faults.count + self._to_host.faults.count

    @property
    def passed(self) -> int:
        """Bytes that have gone through in both directions."""
        return self._to_device.passed + self._to_host.passed

    def __enter__(self) -> FaultProxy:
        self._listen(socket.create_server(("127.0.0.1", 0)))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._waker.send(b"!")
        self._thread.join(10.0)
        self.vanish()
        self._wake.close()
        self._waker.close()
        if self.failure is not None and error is None:
            raise self.failure

    def cut(self) -> None:
        """End both connections; the port stays."""
        for end in (self._host, self._device):
            if end is not None:
                end.close()
        self._host = self._device = None
        self._to_device.clear()
        self._to_host.clear()

    def vanish(self) -> None:
        """The port is gone: connections end, and new ones are refused."""
        self.cut()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def move(self) -> None:
        """The port is gone, and comes back under another name (`url`)."""
        fresh = socket.create_server(("127.0.0.1", 0))  # first: the number must be another one
        self.vanish()
        self._listen(fresh)

    def _listen(self, listener: socket.socket) -> None:
        self._listener = listener
        self._port = listener.getsockname()[1]

    def to_host(self, data: bytes) -> None:
        """Bytes that the device did not say now."""
        if self._host is not None:
            with contextlib.suppress(OSError):
                self._host.sendall(data)

    def to_device(self, data: bytes) -> None:
        """Bytes that another program sends to the device."""
        if self._device is not None:
            with contextlib.suppress(OSError):
                self._device.sendall(data)

    @property
    def said(self) -> bytes:
        """What the device said last, as it said it."""
        return bytes(self._said)

    def _serve(self) -> None:
        try:
            while not self._ended.is_set():
                self._turn()
        except BaseException as error:  # handed on by __exit__
            self.failure = error

    def _turn(self) -> None:
        ends = [s for s in (self._listener, self._host, self._device) if s is not None]
        ends.append(self._wake)
        now = time.monotonic()
        if self._host is not None and self._device is None:
            wait = _RETRY_SECONDS
        else:
            wait = min(self._to_device.wait(now), self._to_host.wait(now), _IDLE_SECONDS)
        ready = select.select(ends, [], [], wait)[0]
        if self._listener is not None and self._listener in ready:
            self._accept()
            return
        if self._host is not None and self._device is None:
            self._call_device()
        if self._host is not None and self._host in ready:
            data = _receive(self._host)
            if not data:
                self.cut()
            elif self._device is not None:  # a board that is away hears nothing
                self._to_device.take(data)
        if self._device is not None and self._device in ready:
            data = _receive(self._device)
            if data:
                self._to_host.take(data)
                self._said += data
                del self._said[:-_KEPT]
            elif self._holds_host:
                self._device.close()
                self._device = None
                self._to_device.clear()
            else:
                self.cut()
        self._deliver()

    def _accept(self) -> None:
        assert self._listener is not None
        host, _ = self._listener.accept()
        if self._host is not None:
            host.close()  # a port has one user
            return
        host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = host
        self._call_device()
        if self._device is None and not self._holds_host:
            self.cut()

    def _call_device(self) -> None:
        try:
            self._device = socket.create_connection(self._device_address(), timeout=5.0)
        except OSError:
            return
        self._device.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _deliver(self) -> None:
        lanes = ((self._to_device, True), (self._to_host, False))
        for lane, to_device in lanes:
            while data := lane.due(time.monotonic()):
                end = self._device if to_device else self._host
                if end is not None and (to_device or not self.silent):
                    with contextlib.suppress(OSError):  # its end is noticed when it is read
                        end.sendall(data)
                self._meet_incidents()

    def _meet_incidents(self) -> None:
        while self._incidents and self.passed >= self._incidents[0].after_bytes:
            incident = self._incidents.pop(0)
            self.incidents_met += 1
            incident.do(self)


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK)
    except OSError:
        return b""
