"""What is plugged in: serial ports, and the boards that they probably are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from edgepack.targets import Target, load_targets


@dataclass(frozen=True)
class Attached:
    """A serial port of this computer.

    Attributes:
        port: what `--port` takes.
        description: the operating system's words.
        usb: vendor and product as `0483:374b`, or None for a port that is not on USB.
        serial_number: the USB serial number, which tells two equal boards apart.
        boards: targets whose records name this USB identity.
    """

    port: str
    description: str
    usb: str | None
    serial_number: str | None
    boards: tuple[str, ...]


class PortInfo(Protocol):
    """What pyserial says about a port (serial.tools.list_ports_common.ListPortInfo)."""

    device: str
    description: str | None
    vid: int | None
    pid: int | None
    serial_number: str | None


def attached_devices(ports: Iterable[PortInfo] | None = None) -> tuple[Attached, ...]:
    """All serial ports, those of known boards first.

    Args:
        ports: what to look at; None asks the operating system.
    """
    if ports is None:
        from serial.tools.list_ports import comports

        ports = comports()
    targets = load_targets()
    found = [_describe(port, targets) for port in ports]
    return tuple(sorted(found, key=lambda device: (not device.boards, device.port)))


def _describe(port: PortInfo, targets: Iterable[Target]) -> Attached:
    on_usb = port.vid is not None and port.pid is not None
    boards = tuple(
        target.id
        for target in targets
        if any((usb.vid, usb.pid) == (port.vid, port.pid) for usb in target.board.serial.usb)
    )
    description = port.description if port.description and port.description != "n/a" else ""
    return Attached(
        port.device,
        description,
        f"{port.vid:04x}:{port.pid:04x}" if on_usb else None,
        port.serial_number,
        boards,
    )
