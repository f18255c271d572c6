"""A byte link over anything that pyserial opens: a device name, `socket://`, `rfc2217://`."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import Any

import serial

from edgepack.errors import DeviceLostError, DeviceSilentError, PortError

if sys.platform == "win32":
    _PORT_ERRORS: tuple[type[Exception], ...] = (OSError,)  # pyserial's own errors are OSErrors
else:
    import termios

    # a terminal that vanished raises termios.error, which is no OSError
    _PORT_ERRORS = (OSError, termios.error)

BAUD = 115200  # bits per second at start, where the board's record says nothing else
_READ_LIMIT = 65536
_STOP_SECONDS = 0.25  # how often a waiting reader looks whether it is to stop


class SerialLink:
    """One open port. Use `open_link`.

    Args:
        port: an open pyserial port whose time-outs this object may change.
        url: the port as the user typed it.
        stop: once set, reading raises KeyboardInterrupt: how the main thread ends a run in another.
    """

    def __init__(self, port: Any, url: str, stop: threading.Event | None = None) -> None:
        self._port = port
        self._url = url
        self._stop = stop
        self._is_socket = url.startswith("socket://")

    @property
    def name(self) -> str:
        """The port as the user typed it."""
        return self._url

    @property
    def baud(self) -> int:
        """Bits per second at present."""
        return int(self._port.baudrate)

    def read(self, timeout: float) -> bytes:
        """What has arrived, waiting up to `timeout` seconds for the first byte.

        Raises:
            DeviceLostError: the port or the other end of the socket is gone.
        """
        if self._stop is None:
            return self._read(timeout)
        deadline = time.monotonic() + timeout
        while True:
            if self._stop.is_set():
                raise KeyboardInterrupt
            left = deadline - time.monotonic()
            data = self._read(min(left, _STOP_SECONDS))
            if data or left <= _STOP_SECONDS:
                return data

    def _read(self, timeout: float) -> bytes:
        try:
            self._wait(max(timeout, 0.0))
            first: bytes = self._port.read(1)
            if not first:
                return b""
            return first + self._rest()
        except _PORT_ERRORS as error:
            raise self._lost(error) from error

    def _wait(self, timeout: float) -> None:
        if self._port.timeout != timeout:  # a system call on real ports
            self._port.timeout = timeout

    def _rest(self) -> bytes:
        """What else is there already; an error here shows again at the next read."""
        try:
            if self._is_socket:
                # in_waiting of pyserial's sockets is 0 or 1; a read that does not wait takes all
                self._wait(0.0)
                rest: bytes = self._port.read(_READ_LIMIT)
            else:
                rest = self._port.read(self._port.in_waiting)
            return rest
        except _PORT_ERRORS:
            return b""

    def write(self, data: bytes, timeout: float) -> None:
        """Hand all bytes to the line.

        Raises:
            DeviceSilentError: they were not taken within `timeout` seconds.
            DeviceLostError: the port or the other end of the socket is gone.
        """
        try:
            if self._port.write_timeout != timeout:
                self._port.write_timeout = timeout
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise DeviceSilentError(
                f"{self._url} took no more bytes for {timeout:g} s",
                next_step="reset the board and check the cable, then run the same command again",
            ) from error
        except _PORT_ERRORS as error:
            raise self._lost(error) from error

    def set_baud(self, baud: int) -> None:
        """Change the rate of this side.

        Raises:
            PortError: the adapter cannot do this rate.
        """
        try:
            self._port.baudrate = baud
        except (ValueError, *_PORT_ERRORS) as error:
            raise PortError(f"{self._url} cannot run at {baud} baud: {error}") from error

    def close(self) -> None:
        """Release the port."""
        socket = getattr(self._port, "_socket", None)
        if socket is not None:
            # pyserial's socket:// sleeps 0.3 s when it is closed, and forgets to close a socket
            # whose other end has died
            self._port._socket = None
            self._port.is_open = False
            with contextlib.suppress(OSError):
                socket.shutdown(2)  # both ways: a read in another thread ends
            socket.close()
            return
        with contextlib.suppress(*_PORT_ERRORS):  # it vanished: there is nothing left to release
            self._port.close()

    def _lost(self, error: BaseException) -> DeviceLostError:
        return DeviceLostError(
            f"the device at {self._url} is gone: {error}",
            next_step="reconnect it, then: edgepack devices",
        )


def open_link(
    url: str, *, baud: int = BAUD, timeout: float = 5.0, stop: threading.Event | None = None
) -> SerialLink:
    """Open a port.

    Args:
        url: a device name or a pyserial URL.
        baud: bits per second; without meaning for sockets.
        timeout: seconds during which a refused connection is tried again (an emulator that is
            starting).
        stop: as for `SerialLink`.

    Raises:
        PortError: it does not exist, is held by another program, or refuses the connection.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            port = serial.serial_for_url(url, baudrate=baud, do_not_open=True)
            if "://" not in url and os.name == "posix":
                port.exclusive = True  # two programs on one port would tear frames apart
            _open(port, url)
            return SerialLink(port, url, stop)
        except (ValueError, *_PORT_ERRORS) as error:
            refused = "refused" in str(error).lower()
            if refused and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            raise _port_error(url, error) from error


def _open(port: serial.SerialBase, url: str) -> None:
    """Open a port, keeping what the device says at once.

    pyserial empties the buffer of a socket that it has just opened. Nothing stale can be in a new
    connection, but an emulator's first words can.
    """
    if not url.startswith("socket://"):
        port.open()
        return
    port.reset_input_buffer = lambda: None
    try:
        port.open()
    finally:
        del port.reset_input_buffer


def _port_error(url: str, error: BaseException) -> PortError:
    text = str(error)
    lower = text.lower()
    if isinstance(error, ValueError):
        return PortError(
            f"{url} is not a port: {text}",
            allowed="a device name such as /dev/ttyACM0 or COM3, socket://HOST:PORT, rfc2217://HOST:PORT",
        )
    if "lock" in lower or "busy" in lower or "temporarily unavailable" in lower:
        return PortError(
            f"{url} is held by another program: {text}",
            next_step="close it (a serial monitor, another edgepack), then run the command again",
        )
    if "permission" in lower:
        return PortError(
            f"{url} may not be opened by this user: {text}",
            next_step='sudo usermod -aG dialout "$USER", then log in again',
        )
    return PortError(f"{url} could not be opened: {text}", next_step="edgepack devices")
