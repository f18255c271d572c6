"""Where a device is after its port has gone: the same port, or another one of the same USB device.

A USB serial port gets a new name when its board restarts while somebody still holds the old one
(Linux: ttyACM0 -> ttyACM1), or when it is plugged in elsewhere. What stays is the serial number of
the USB device.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol


class ListedPort(Protocol):
    """What pyserial says about a port (serial.tools.list_ports_common.ListPortInfo)."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None


ListPorts = Callable[[], Iterable[ListedPort]]


@dataclass(frozen=True)
class PortIdentity:
    """What is known about the device behind a port.

    Attributes:
        url: the port as the user named it.
        usb: vendor and product number, or None where it is no USB device.
        serial_number: of the USB device, or None where it has none.
    """

    url: str
    usb: tuple[int, int] | None = None
    serial_number: str | None = None

    @property
    def words(self) -> str:
        """How messages name it."""
        if self.usb is None:
            return self.url
        number = f", serial number {self.serial_number}" if self.serial_number else ""
        return f"the USB device {self.usb[0]:04x}:{self.usb[1]:04x}{number}"


def list_ports() -> Iterable[ListedPort]:
    """The serial ports of this computer."""
    from serial.tools.list_ports import comports

    listed: Iterable[ListedPort] = comports()
    return listed


def identify_port(url: str, ports: ListPorts = list_ports) -> PortIdentity:
    """What to look for when this port vanishes; links such as /dev/serial/by-id are followed."""
    real = url if "://" in url else os.path.realpath(url)
    for port in ports():
        if port.device in (url, real) and port.vid is not None and port.pid is not None:
            return PortIdentity(url, (port.vid, port.pid), port.serial_number)
    return PortIdentity(url)


def possible_ports(identity: PortIdentity, ports: ListPorts = list_ports) -> list[str]:
    """The ports at which the device may be now, the most likely first.

    With a serial number only ports of that number; without one those of the same product, which
    still have to prove themselves by the build id of their image. A device that is not on USB can
    only be where it was.
    """
    if identity.usb is None:
        return [identity.url]
    found = []
    real = os.path.realpath(identity.url)
    for port in ports():
        if (port.vid, port.pid) != identity.usb:
            continue
        if identity.serial_number is None or port.serial_number == identity.serial_number:
            found.append(port.device)
    return sorted(found, key=lambda name: (name not in (identity.url, real), name))
