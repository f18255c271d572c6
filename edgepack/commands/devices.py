"""`edgepack devices`."""

from __future__ import annotations

from edgepack.commands.output import Column, out


def devices() -> None:
    """List the serial ports of this computer and the boards that they probably are.

    \b
    Examples:
        edgepack devices
        edgepack devices --json
    """
    from dataclasses import asdict

    from edgepack.pipeline.devices import attached_devices

    found = attached_devices()

    def show() -> None:
        if not found:
            out().line("no serial port on this computer")
            out().note("emulated boards and the host need none: edgepack targets")
            return
        columns = [Column("port"), Column("board"), Column("usb"), Column("what it says it is")]
        rows = [[d.port, " ".join(d.boards), d.usb or "", d.description] for d in found]
        out().table(columns, rows)

    out().result([asdict(device) for device in found], show)
