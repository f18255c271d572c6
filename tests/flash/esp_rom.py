"""The serial boot loader of an ESP32-C3: its ROM, and the stub that esptool loads into its RAM.

Protocol: Espressif, Serial Protocol (docs.espressif.com/projects/esptool, advanced topics). The
registers are those of the ESP32-C3 Technical Reference Manual: SPI1 is asked for the flash's id.
"""

from __future__ import annotations

import hashlib
import socket
import socketserver
import struct
import threading
import zlib
from dataclasses import dataclass, field
from functools import reduce
from operator import xor

_END, _ESCAPE, _END_BODY, _ESCAPE_BODY = 0xC0, 0xDB, 0xDC, 0xDD
_FLASH_BEGIN, _FLASH_DATA, _FLASH_END = 0x02, 0x03, 0x04
_MEM_BEGIN, _MEM_END, _MEM_DATA = 0x05, 0x06, 0x07
_SYNC, _WRITE_REG, _READ_REG, _SPI_SETUP, _SPI_ATTACH, _BAUD = 0x08, 0x09, 0x0A, 0x0B, 0x0D, 0x0F
_DEFL_BEGIN, _DEFL_DATA, _DEFL_END, _MD5, _SECURITY = 0x10, 0x11, 0x12, 0x13, 0x14
_SPI_ID = {0x60002058: 0x1640EF}  # SPI_W0 after RDID: a Winbond of 4 MiB
_BAD_CHECKSUM = 0x07
ESP32_C3 = 5


@dataclass
class EspChip:
    """A chip in download mode.

    Attributes:
        chip_id: which chip it says it is.
        secured: secure download mode is on.
        worn: address of a byte that keeps its lowest bit set.
        mute: it answers nothing.
        noisy: the number of data blocks whose first transfer arrives damaged.
    """

    chip_id: int = ESP32_C3
    secured: bool = False
    worn: int | None = None
    mute: bool = False
    noisy: int = 0
    flash: bytearray = field(default_factory=lambda: bytearray(b"\xff" * (1 << 22)))
    in_stub: bool = False
    ended: bool = False
    seen: list[int] = field(default_factory=list)
    _at: int = 0
    _inflate: zlib._Decompress | None = None
    _registers: dict[int, int] = field(default_factory=dict)

    def answer(self, packet: bytes) -> list[bytes]:
        """The packets that answer one request."""
        _, command, size, checksum = struct.unpack_from("<BBHI", packet)
        body = packet[8 : 8 + size]
        self.seen.append(command)
        if self.mute:
            return []
        value, data, error = self._do(command, body, checksum)
        # the ROM appends two bytes more than the stub
        status = bytes((1, error) if error else (0, 0)) + (b"" if self.in_stub else b"\0\0")
        reply = struct.pack("<BBHI", 1, command, len(data) + len(status), value) + data + status
        if command == _SYNC:
            return [reply] * 8
        if command == _MEM_END and struct.unpack_from("<I", body)[0] == 0:
            self.in_stub = True
            return [reply, b"OHAI"]
        return [reply]

    def _do(self, command: int, body: bytes, checksum: int) -> tuple[int, bytes, int]:
        """Value, data and error of a command."""
        value, data, error = 0, b"", 0
        if command == _SYNC:
            value = 0x20120707
        elif command == _READ_REG:
            address = struct.unpack("<I", body)[0]
            value = _SPI_ID.get(address, self._registers.get(address, 0))
        elif command == _SECURITY:
            flags = 4 if self.secured else 0
            data = struct.pack("<I8BII", flags, *bytes(8), self.chip_id, 0)
        elif command in (_FLASH_BEGIN, _DEFL_BEGIN):
            erase, _, _, self._at = struct.unpack_from("<4I", body)
            self._erase(self._at, erase)
            self._inflate = zlib.decompressobj() if command == _DEFL_BEGIN else None
        elif command in (_FLASH_DATA, _DEFL_DATA, _MEM_DATA):
            error = self._take(command, body, checksum)
        elif command == _MD5:
            at, count = struct.unpack_from("<2I", body)
            digest = hashlib.md5(self.flash[at : at + count])
            data = digest.digest() if self.in_stub else digest.hexdigest().encode()
        elif command in (_FLASH_END, _DEFL_END):
            self.ended = True
        elif command not in (_WRITE_REG, _SPI_SETUP, _SPI_ATTACH, _BAUD, _MEM_BEGIN, _MEM_END):
            error = 0x05  # invalid message
        return value, data, error

    def _erase(self, at: int, count: int) -> None:
        first, last = at & ~0xFFF, at + count + 0xFFF & ~0xFFF
        self.flash[first:last] = b"\xff" * (last - first)

    def _take(self, command: int, body: bytes, checksum: int) -> int:
        data = body[16:]
        if self.noisy and command != _MEM_DATA:
            self.noisy -= 1
            return _BAD_CHECKSUM
        if reduce(xor, data, 0xEF) != checksum & 0xFF:
            return _BAD_CHECKSUM
        if command == _MEM_DATA:
            return 0
        plain = self._inflate.decompress(data) if self._inflate is not None else data
        for offset, byte in enumerate(plain, start=self._at):
            self.flash[offset] &= byte | (1 if offset == self.worn else 0)
        self._at += len(plain)
        return 0


def encode(packet: bytes) -> bytes:
    """A SLIP frame (RFC 1055)."""
    body = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + body + b"\xc0"


class _Client(socketserver.BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, EspPort)
        frame: bytearray | None = None
        escaped = False
        while chunk := self.request.recv(65536):
            for byte in chunk:
                if byte == _END:
                    if frame:
                        for reply in server.chip.answer(bytes(frame)):
                            self.request.sendall(encode(reply))
                        frame = None
                    else:
                        frame = bytearray()
                elif frame is not None:
                    if escaped:
                        frame.append({_END_BODY: _END, _ESCAPE_BODY: _ESCAPE}[byte])
                    elif byte != _ESCAPE:
                        frame.append(byte)
                    escaped = byte == _ESCAPE and not escaped


class EspPort(socketserver.ThreadingTCPServer):
    """The chip's serial port on a free TCP port; use as a context manager."""

    daemon_threads = True

    def __init__(self, chip: EspChip) -> None:
        super().__init__(("127.0.0.1", 0), _Client)
        self.chip = chip
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *details: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self.server_address[1]}"
