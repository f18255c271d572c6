"""adb's file service as a phone offers it: versions 1 and 2, plain and compressed.

The facts are those of Android's packages/modules/adb: SYNC.TXT and file_sync_protocol.h. Version 2
sends the path first and then its mode and flags; a flag says how the data are compressed.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.phone.wire import Stream

if TYPE_CHECKING:
    from tests.phone.device import Fault, Phone

_PIECE = 64 * 1024  # SYNC_DATA_MAX
_ZSTD = 4  # kSyncFlagZstd


class Sync:
    """One opened file service. `used` in the phone collects which requests came."""

    def __init__(self, phone: Phone, stream: Stream) -> None:
        self._phone, self._stream = phone, stream

    def serve(self) -> None:
        while True:
            word, length = struct.unpack("<4sI", self._stream.read(8))
            name = self._stream.read(length).decode()
            if word == b"QUIT":
                return
            self._phone.requests.append(word.decode())
            match word:
                case b"STAT":
                    self._stat(name)
                case b"STA2" | b"LST2":
                    self._stat2(word, name)
                case b"SEND":
                    path, _, mode = name.rpartition(",")
                    self._send(path, int(mode), 0)
                case b"SND2":
                    _, mode, flags = struct.unpack("<4s2I", self._stream.read(12))
                    self._send(name, mode, flags)
                case b"RECV":
                    self._receive(name, 0)
                case b"RCV2":
                    _, flags = struct.unpack("<4sI", self._stream.read(8))
                    self._receive(name, flags)
                case _:
                    raise AssertionError(f"adb asked for {word!r}, which was not offered")

    def _path(self, name: str) -> Path:
        return self._phone.path(name)

    def _stat(self, name: str) -> None:
        try:
            s = self._path(name).stat()
            self._stream.write(struct.pack("<4s3I", b"STAT", s.st_mode, s.st_size, int(s.st_mtime)))
        except OSError:
            self._stream.write(struct.pack("<4s3I", b"STAT", 0, 0, 0))

    def _stat2(self, word: bytes, name: str) -> None:
        try:
            s = self._path(name).stat()
        except OSError as error:
            self._stream.write(struct.pack("<4sI64x", word, error.errno or 2))
            return
        times = int(s.st_atime), int(s.st_mtime), int(s.st_ctime)
        self._stream.write(
            struct.pack(
                "<4sI2Q4IQ3q",
                *(word, 0, s.st_dev, s.st_ino, s.st_mode, 1, 2000, 2000, s.st_size),
                *times,
            )
        )

    def _fail(self, text: str) -> None:
        self._stream.write(struct.pack("<4sI", b"FAIL", len(text)) + text.encode())

    def _send(self, name: str, mode: int, flags: int) -> None:
        what = f"push {name}"
        fault = self._phone.fault(what, 0)
        packed = bytearray()
        while True:
            word, length = struct.unpack("<4sI", self._stream.read(8))
            if word == b"DONE":
                break
            packed += self._stream.read(length)
            fault = fault or self._phone.fault(what, len(packed))
        if fault is not None and fault.act == "full":
            self._fail("write failed: No space left on device")
            return
        if fault is not None and fault.act == "denied":
            self._fail("couldn't create file: Permission denied")
            return
        data = bytearray(_unpacked(bytes(packed), flags))
        if fault is not None and fault.act == "garble":
            data[len(data) // 2] ^= 0x20
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(stat.S_IMODE(mode))
        self._stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _receive(self, name: str, flags: int) -> None:
        try:
            data = self._path(name).read_bytes()
        except OSError as error:
            self._fail(f"open failed: {error.strerror}")
            return
        for piece in self._pieces(f"pull {name}", data, flags):
            self._stream.write(struct.pack("<4sI", b"DATA", len(piece)) + piece)
        self._stream.write(struct.pack("<4sI", b"DONE", 0))

    def _pieces(self, what: str, data: bytes, flags: int) -> Iterator[bytes]:
        spoiled = bytearray(data)
        ended = len(data)
        for start in range(0, len(data), _PIECE):
            fault: Fault | None = self._phone.fault(what, start)
            if fault is not None and fault.act == "garble":
                spoiled[start] ^= 0x20
            if fault is not None and fault.act == "drop":
                ended = start
                break
        packed = _packed(bytes(spoiled[:ended]), flags)
        for start in range(0, len(packed), _PIECE):
            yield packed[start : start + _PIECE]


def _zstandard() -> Any:
    import zstandard  # of the dev extra; features that need it are only offered where it is

    return zstandard


def _unpacked(data: bytes, flags: int) -> bytes:
    if not flags:
        return data
    assert flags == _ZSTD, f"flags {flags:#x} were not offered"
    made: bytes = _zstandard().ZstdDecompressor().decompressobj().decompress(data)
    return made


def _packed(data: bytes, flags: int) -> bytes:
    if not flags:
        return data
    assert flags == _ZSTD, f"flags {flags:#x} were not offered"
    made: bytes = _zstandard().ZstdCompressor().compress(data)
    return made
