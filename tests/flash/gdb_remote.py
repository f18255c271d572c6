"""A client of QEMU's gdbserver: memory, registers, breakpoints, run and halt.

Packets: Debugging with GDB, appendix E (Remote Serial Protocol).
"""

from __future__ import annotations

import select
import socket

_TIMEOUT = 20.0
# QEMU's packets hold at most 4096 characters, two for each byte.
_CHUNK = 1024


class GdbRemote:
    """One connection; the target is halted when it is made."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.running = False
        self._ask("?")
        # QEMU knows the packets p and P only for clients that have read its register description
        self._ask("qXfer:features:read:target.xml:0,ffb")

    def close(self) -> None:
        self._socket.close()

    def _send(self, body: str) -> None:
        self._socket.sendall(f"${body}#{sum(body.encode()) & 0xFF:02x}".encode())

    def _receive(self) -> str:
        while True:
            start = self._buffer.find(b"$")
            end = self._buffer.find(b"#", start)
            if start >= 0 and end >= 0 and len(self._buffer) >= end + 3:
                body = self._buffer[start + 1 : end].decode("ascii")
                self._buffer = self._buffer[end + 3 :]
                self._socket.sendall(b"+")
                return body
            chunk = self._socket.recv(65536)
            if not chunk:
                raise ConnectionError("QEMU closed its gdbserver")
            self._buffer += chunk

    def _ask(self, body: str) -> str:
        assert not self.running, f"{body} while the target runs"
        self._send(body)
        return self._receive()

    def _order(self, body: str) -> None:
        reply = self._ask(body)
        if reply != "OK":
            raise ValueError(f"gdbserver answers {reply!r} to {body[:40]}")

    def read(self, address: int, count: int) -> bytes:
        out = b""
        while count:
            part = min(count, _CHUNK)
            reply = self._ask(f"m{address:x},{part:x}")
            if len(reply) != 2 * part:
                raise ValueError(f"no memory at 0x{address:08x}: {reply}")
            out += bytes.fromhex(reply)
            address, count = address + part, count - part
        return out

    def write(self, address: int, data: bytes) -> None:
        for start in range(0, len(data), _CHUNK):
            part = data[start : start + _CHUNK]
            self._order(f"M{address + start:x},{len(part):x}:{part.hex()}")

    def read_register(self, number: int) -> int:
        reply = bytes.fromhex(self._ask(f"p{number:x}"))
        assert len(reply) == 4, f"no register {number}"
        return int.from_bytes(reply, "little")

    def write_register(self, number: int, value: int) -> None:
        self._order(f"P{number:x}={(value & 0xFFFFFFFF).to_bytes(4, 'little').hex()}")

    def breakpoint(self, address: int, *, on: bool) -> None:
        self._order(f"{'Z' if on else 'z'}1,{address:x},2")

    def monitor(self, command: str) -> None:
        """One command of QEMU's monitor, whose output is passed over."""
        self._send(f"qRcmd,{command.encode().hex()}")
        while (reply := self._receive()) != "OK":
            if not reply.startswith("O"):
                raise ValueError(f"QEMU's monitor answers {reply!r} to {command}")

    def step(self) -> None:
        self._send("s")
        self._receive()

    def resume(self) -> None:
        assert not self.running
        self._send("c")
        self.running = True

    def has_stopped(self) -> bool:
        """Whether the target has stopped by itself since it was resumed."""
        if self.running and select.select([self._socket], [], [], 0)[0]:
            self._buffer += self._socket.recv(65536)
        if self.running and b"$" in self._buffer:  # else it was a mere acknowledgement
            self._receive()
            self.running = False
        return not self.running

    def halt(self) -> bool:
        """Stop the target; False when it had stopped by itself."""
        if self.has_stopped():
            return False
        self._socket.sendall(b"\x03")
        reply = self._receive()
        self.running = False
        return reply.startswith("T02")  # SIGINT: it was us
