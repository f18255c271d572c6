"""The process that plays a board: `python -m edgepack.flash.unicorn_board TARGET IMAGE FD`.

FD is a listening socket that it inherits. The board starts when the first peer is there, as QEMU
does with `wait=on`; when a peer leaves, the next one may come.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from pathlib import Path

from edgepack.errors import EdgepackError
from edgepack.flash.unicorn_board.core import Lockup
from edgepack.flash.unicorn_board.machine import Machine
from edgepack.targets import load_target
from edgepack.toolchain.elf import read_image

# Instructions between two looks at the socket while the board computes: some milliseconds.
_SLICE = 200_000
_CHUNK = 8192
_FAILED = 1


class _Line:
    """The serial line: a socket to one peer at a time."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._peer = self._accept()

    def _accept(self) -> socket.socket:
        peer, _ = self._listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer

    def exchange(self, machine: Machine, wait: bool) -> None:
        """Send what the board has sent, and take what the peer has sent; `wait` for that."""
        uart = machine.uart
        received: bytes | None
        try:
            if uart.outgoing:
                sent = bytes(uart.outgoing)
                uart.outgoing.clear()
                self._peer.sendall(sent)
            if len(uart.incoming) >= _CHUNK:
                return  # the peer is held back by its own socket
            ready, _, _ = select.select([self._peer], [], [], None if wait else 0)
            received = self._peer.recv(_CHUNK) if ready else None
        except OSError:
            received = b""
        if received is None:
            return
        if not received:  # the peer left
            self._peer.close()
            self._peer = self._accept()
            return
        uart.incoming.extend(received)


def main(arguments: list[str]) -> None:
    """Play the board until the process is killed, or the board is beyond help."""
    name, image, descriptor = arguments
    try:
        machine = Machine(load_target(name), read_image(Path(image)))
        line = _Line(socket.socket(fileno=int(descriptor)))
        while True:
            sleeps = machine.run(_SLICE)
            line.exchange(machine, wait=sleeps)
    except (Lockup, EdgepackError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
    # at once: whoever sees the socket close must find the process gone, as with QEMU
    os._exit(_FAILED)


if __name__ == "__main__":
    main(sys.argv[1:])
