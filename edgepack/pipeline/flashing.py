"""Flashes a project and asks the board over its serial port whether it runs that very image."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import DeviceSilentError, PortError, WrongImageError
from edgepack.flash import FLASH_TOOLS, FlashOutcome, flash_project
from edgepack.link.framed import FramedClient, LinkTiming
from edgepack.link.serial_url import SerialLink, open_link
from edgepack.manifest import Manifest
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.devices import Attached, attached_devices
from edgepack.targets import Kind, Target

_PORT_SECONDS = 8.0  # a USB port that left with the reset comes back within this
_POLL_SECONDS = 0.2
_HELLO = LinkTiming(hello=10.0)

ListDevices = Callable[[], tuple[Attached, ...]]


@dataclass(frozen=True)
class Flashed:
    """What was done and what the board says it runs.

    Attributes:
        outcome: what the flash tool did.
        port: where the board was asked, or None.
        device_build_id: the build id that the board named; it equals the manifest's.
        not_asked: why the board was not asked, or None.
    """

    outcome: FlashOutcome
    port: str | None = None
    device_build_id: str | None = None
    not_asked: str | None = None


def flash_and_identify(
    project: Path,
    manifest: Manifest,
    target: Target,
    *,
    tool: str | None = None,
    port: str | None = None,
    probe: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    devices: ListDevices = attached_devices,
) -> Flashed:
    """Flash the image of a project, then compare the board's build id with the manifest's.

    Args:
        project, manifest, target, tool, port, probe, dry_run, progress: as for `flash_project`.
        devices: lists what is attached; asked when no port is named.

    Raises:
        WrongImageError: the board runs something else.
        DeviceSilentError, ProtocolError, PortError: it does not say what it runs.
        EdgepackError: whatever `flash_project` raises.
    """
    outcome = flash_project(
        project,
        manifest,
        target,
        tool=tool,
        port=port,
        probe=probe,
        dry_run=dry_run,
        progress=progress,
    )
    if dry_run:
        return Flashed(outcome, not_asked="nothing was flashed")
    where, reason = _where_to_ask(outcome, target, port, devices)
    if where is None:
        return Flashed(outcome, not_asked=reason)
    progress(f"ask {where}", None, "")
    build_id = identify(where, _baud(target), manifest.build_id, after=outcome.summary)
    return Flashed(outcome, port=where, device_build_id=build_id)


def _where_to_ask(
    outcome: FlashOutcome, target: Target, port: str | None, devices: ListDevices
) -> tuple[str | None, str]:
    """The firmware's port, or why there is none."""
    used = next(t for t in FLASH_TOOLS if t.name == outcome.tool).capabilities
    if port is not None and used.port_is_firmwares:
        return port, ""
    if target.kind is not Kind.HARDWARE:
        return None, "each run starts the image, and asks it who it is"
    found = [device.port for device in devices() if target.id in device.boards]
    if port in found:
        found.remove(port)  # the boot loader's, gone or going
    if len(found) == 1:
        return found[0], ""
    if port is not None:
        return None, f"{port} is the boot loader's; the firmware talks over {target.uart.pins}"
    if found:
        return None, f"several boards may be it ({', '.join(found)}): name one with --port"
    return None, "no serial port is known: name it with --port"


def _baud(target: Target) -> int:
    return target.board.serial.baud or target.uart.baud or 115_200


def identify(
    port: str, baud: int, build_id: str, *, after: str, timing: LinkTiming = _HELLO
) -> str:
    """Ask the board at a port which image it runs.

    Args:
        port: a device name or a pyserial URL.
        baud: bits per second.
        build_id: what it must answer.
        after: what has been done to it, for the message when it is silent.
        timing: how long to wait.

    Returns:
        The build id.

    Raises:
        WrongImageError: another one; both are named.
        DeviceSilentError, ProtocolError: no answer, or none that makes sense.
        PortError: the port cannot be opened.
    """
    link = _open(port, baud)
    try:
        info = FramedClient(link, timing).hello()
    except DeviceSilentError as error:
        raise DeviceSilentError(
            f"{after}, but the board does not say which image it runs: {error.message}",
            next_step="press reset; if it stays silent: edgepack targets shows the pins and the "
            "baud rate of its serial port",
        ) from error
    finally:
        link.close()
    if info.build_id != build_id:
        raise WrongImageError(
            f"this board runs something else: {port} answers with model {info.name}, build "
            f"{info.build_id}",
            allowed=f"build {build_id}, which was just flashed",
            next_step="check that --port and the flash tool (--probe) mean the same board: "
            "edgepack devices",
        )
    return info.build_id


def _open(port: str, baud: int) -> SerialLink:
    """Open a port that may be away for a moment, because the board has just been reset."""
    deadline = time.monotonic() + _PORT_SECONDS
    while True:
        try:
            return open_link(port, baud=baud, timeout=_PORT_SECONDS)
        except PortError:
            if "://" in port or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
