"""The fake device on a TCP port of this computer, so that whole commands can be run against it."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from types import TracebackType

from edgepack.errors import DeviceLostError
from edgepack.link.fake import FakeDevice

_SLICE_SECONDS = 0.2


class FakeServer:
    """Serves one fake device to one peer at a time; use as a context manager.

    The device outlives its peers. A device that vanishes (`fake.Mishap`) closes the connection.
    """

    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """What `--port` takes."""
        return f"socket://{self.address[0]}:{self.address[1]}"

    def restart(self) -> None:
        """Restart the device in the middle of whatever it does."""
        with self._lock:
            self.device.restart()

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(10.0)
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            if select.select([self._listener], [], [], _SLICE_SECONDS)[0]:
                peer, _ = self._listener.accept()
                with peer, contextlib.suppress(OSError, DeviceLostError):
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._talk(peer)

    def _talk(self, peer: socket.socket) -> None:
        while not self._ended.is_set():
            data = b""
            if select.select([peer], [], [], _SLICE_SECONDS / 10)[0]:
                data = peer.recv(1 << 16)
                if not data:
                    return
            with self._lock:
                if data:
                    self.device.write(data, 0.0)
                said = self.device.read(0.0)
            peer.sendall(said)
