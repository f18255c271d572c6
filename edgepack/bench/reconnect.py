"""A device at a port, found again when its port has gone or its firmware has restarted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from edgepack.bench.device import Device
from edgepack.bench.session import Session, open_session
from edgepack.errors import (
    DeviceLostError,
    DeviceSilentError,
    EdgepackError,
    PortError,
    ProtocolError,
    WrongImageError,
)
from edgepack.link.framed import LinkTiming
from edgepack.link.ports import (
    ListPorts,
    PortIdentity,
    identify_port,
    list_ports,
    possible_ports,
)
from edgepack.link.serial_url import BAUD

_PAUSE_SECONDS = 0.1  # between two looks at the ports
_HELLO_SECONDS = 3.0  # for a device that has come back to introduce itself
# What may be over in a moment. Anything else (a wrong image, a failed model) stays as it is.
_PASSING = (DeviceLostError, DeviceSilentError, PortError, ProtocolError)


@dataclass(frozen=True)
class PortSettings:
    """How a port is used.

    Attributes:
        url: any pyserial URL.
        baud: bits per second at start.
        timing: how long to wait, or None for the usual.
        stateful: as for `Session`.
        patience: seconds within which a device that was lost must be back.
        stop: once set, whoever reads from the port gets a KeyboardInterrupt.
    """

    url: str
    baud: int = BAUD
    timing: LinkTiming | None = None
    stateful: bool = False
    patience: float = 15.0
    stop: threading.Event | None = None


class PortConnect:
    """A `Connect` for one device at a port: each call opens it, wherever it is by then.

    The first call takes the port that was named and raises what is wrong with it. Later calls look
    for the device for `patience` seconds: at its port, or at any port with the same USB serial
    number; `check` (the build id) decides whether it is the same.

    Args:
        settings: the port.
        check: called with every session before it is used.
        ports: lists the ports of this computer.
    """

    def __init__(
        self,
        settings: PortSettings,
        check: Callable[[Session], None],
        ports: ListPorts = list_ports,
    ) -> None:
        self._settings = settings
        self._check = check
        self._ports = ports
        self._identity: PortIdentity | None = None
        self.url = settings.url  # where the device is, or was last

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Device]:
        """Open the device; leaving the block releases its port."""
        with contextlib.ExitStack() as stack:
            if self._identity is None:
                identity = identify_port(self._settings.url, self._ports)
                session = self._open(stack, self._settings.url, self._settings.timing)
                self._identity = identity
            else:
                session = self._find(stack, self._identity)
            yield session

    def _open(
        self,
        stack: contextlib.ExitStack,
        url: str,
        timing: LinkTiming | None,
        patience: float = 5.0,
    ) -> Session:
        settings = self._settings
        session = stack.enter_context(
            open_session(
                url,
                baud=settings.baud,
                timing=timing,
                stateful=settings.stateful,
                check=self._check,
                patience=patience,
                stop=settings.stop,
            )
        )
        self.url = url
        return session

    def _find(self, stack: contextlib.ExitStack, identity: PortIdentity) -> Session:
        patience = self._settings.patience
        usual = self._settings.timing or LinkTiming()
        deadline = time.monotonic() + patience
        seen: dict[str, EdgepackError] = {}
        stop = self._settings.stop
        while True:
            if stop is not None and stop.is_set():
                raise KeyboardInterrupt
            for url in possible_ports(identity, self._ports):
                left = max(deadline - time.monotonic(), _PAUSE_SECONDS)
                hello = min(usual.hello, _HELLO_SECONDS, left)
                try:
                    session = self._open(stack, url, replace(usual, hello=hello), 0.0)
                except (*_PASSING, WrongImageError) as error:
                    seen[url] = error
                else:
                    session.set_timing(usual)
                    return session
            if time.monotonic() >= deadline:
                raise _not_back(identity, patience, seen)
            time.sleep(_PAUSE_SECONDS)


def _not_back(
    identity: PortIdentity, patience: float, seen: dict[str, EdgepackError]
) -> DeviceLostError:
    tried = "; ".join(error.message for error in seen.values()) or "no such port is there"
    return DeviceLostError(
        f"{identity.words} did not come back within {patience:g} s ({tried})",
        next_step="reconnect it, then run the same command with --resume",
    )
