"""The adb transport protocol as a device speaks it: messages, streams with flow control.

The facts are those of Android's packages/modules/adb: protocol.txt, SYNC.TXT, shell_protocol.h.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(word, "little")
    for word in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)
VERSION = 0x01000001  # from which on checksums are left out
OLD_VERSION = 0x01000000
MAX_DATA = 256 * 1024
OLD_MAX_DATA = 4096
_HEADER = struct.Struct("<6I")


class Gone(Exception):
    """The other side has closed the connection or the stream."""


@dataclass(frozen=True)
class Message:
    """One message of the transport."""

    command: int
    arg0: int
    arg1: int
    data: bytes


class Wire:
    """One connection to an adb server; an old one has checksums and small packets."""

    def __init__(self, connection: socket.socket, *, old: bool = False) -> None:
        self._connection = connection
        self.version = OLD_VERSION if old else VERSION
        self.max_data = OLD_MAX_DATA if old else MAX_DATA
        self._lock = threading.Lock()

    def send(self, command: int, arg0: int, arg1: int, data: bytes = b"") -> None:
        header = _HEADER.pack(
            command, arg0, arg1, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF
        )
        try:
            with self._lock:
                self._connection.sendall(header + data)
        except OSError as error:
            raise Gone from error

    def receive(self) -> Message:
        command, arg0, arg1, length, check, magic = _HEADER.unpack(self._exactly(_HEADER.size))
        assert magic == command ^ 0xFFFFFFFF, f"not an adb message: {command:#x}"
        data = self._exactly(length)
        if self.version == OLD_VERSION:
            assert check == sum(data) & 0xFFFFFFFF, "an old transport demands checksums"
            assert length <= self.max_data, f"{length} bytes in a packet"
        return Message(command, arg0, arg1, data)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                piece = self._connection.recv(count - len(data))
            except OSError as error:
                raise Gone from error
            if not piece:
                raise Gone
            data += piece
        return bytes(data)

    def close(self) -> None:
        with suppress(OSError):  # it may be gone already
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class Stream:
    """One service that the host has opened."""

    def __init__(self, wire: Wire, own: int, host: int) -> None:
        self.own, self.host = own, host
        self._wire = wire
        self._arrived: queue.Queue[bytes | None] = queue.Queue()
        self._rest = b""
        self._ready = threading.Semaphore(0)
        self._closed = threading.Event()

    def deliver(self, data: bytes) -> None:
        self._arrived.put(data)

    def acknowledge(self) -> None:
        self._ready.release()

    def end(self) -> None:
        """The host has closed the stream, or the connection is gone."""
        self._closed.set()
        self._arrived.put(None)
        self._ready.release()

    def read(self, count: int) -> bytes:
        while len(self._rest) < count:
            piece = self._arrived.get()
            if piece is None:
                raise Gone
            self._wire.send(OKAY, self.own, self.host)
            self._rest += piece
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), self._wire.max_data):
            if self._closed.is_set():
                raise Gone
            self._wire.send(WRTE, self.own, self.host, data[start : start + self._wire.max_data])
            self._ready.acquire()
            if self._closed.is_set():
                raise Gone

    def close(self) -> None:
        self._wire.send(CLSE, self.own, self.host)


class Streams:
    """All streams of a connection; each service runs in a thread of its own."""

    def __init__(self, wire: Wire, serve: Callable[[str, Stream], None]) -> None:
        self._wire, self._serve = wire, serve
        self._streams: dict[int, Stream] = {}
        self._next = 1

    def take(self, message: Message) -> None:
        """Act on a message that belongs to a stream."""
        if message.command == OPEN:
            stream = Stream(self._wire, self._next, message.arg0)
            self._streams[self._next] = stream
            self._next += 1
            self._wire.send(OKAY, stream.own, stream.host)
            name = message.data.rstrip(b"\0").decode()
            threading.Thread(target=self._run, args=(name, stream), daemon=True).start()
            return
        known = self._streams.get(message.arg1)
        if known is None:
            return  # closed in the meantime
        if message.command == OKAY:
            known.acknowledge()
        elif message.command == WRTE:
            known.deliver(message.data)
        elif message.command == CLSE:
            del self._streams[message.arg1]
            known.end()

    def _run(self, name: str, stream: Stream) -> None:
        try:
            self._serve(name, stream)
            stream.close()
        except Gone:
            pass  # nobody is left to be told

    def end(self) -> None:
        for stream in list(self._streams.values()):
            stream.end()
