"""What a byte link is: the one thing that every protocol here needs of a port."""

from __future__ import annotations

from typing import Protocol


class ByteLink(Protocol):
    """A two-way stream of bytes to one device.

    Implementations: `serial_url.SerialLink` (any pyserial URL), `fake.FakeDevice` (no device at
    all), `faulty.FaultyLink` (another link with a broken line). Every method may raise
    `DeviceLostError` once the other side is gone; none waits longer than its time-out.
    """

    @property
    def name(self) -> str:
        """The port as the user typed it, for messages."""

    @property
    def baud(self) -> int:
        """Bits per second at present."""

    def read(self, timeout: float) -> bytes:
        """What has arrived, waiting up to `timeout` seconds for the first byte; b"" for nothing."""

    def write(self, data: bytes, timeout: float) -> None:
        """Hand all bytes to the line.

        Raises:
            DeviceSilentError: the line did not take them within `timeout` seconds.
        """

    def set_baud(self, baud: int) -> None:
        """Change the rate of this side; links without a rate ignore it."""

    def close(self) -> None:
        """Release the port; harmless when already closed."""
