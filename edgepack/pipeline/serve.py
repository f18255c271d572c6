"""An emulated board whose serial port any program can open."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgepack.errors import DeviceLostError, DeviceSilentError, UsageError
from edgepack.flash import Player, launch
from edgepack.flash.running import RunningBoard
from edgepack.link.pseudo_terminal import PseudoTerminal, pseudo_terminal
from edgepack.manifest import Manifest, read_manifest
from edgepack.targets import Target, load_target

_READY = b"m-ready\r\n"  # how the banner ends
_START_SECONDS = 20.0  # for a busy computer; the banner takes a fraction of a second
_USB_ID = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}")


@dataclass(frozen=True)
class ServedBoard:
    """A running board and its port."""

    manifest: Manifest
    target: Target
    board: RunningBoard
    terminal: PseudoTerminal

    @property
    def port(self) -> str:
        """What a program opens."""
        return self.terminal.path

    def check(self) -> None:
        """Raise when the board is gone.

        Raises:
            DeviceLostError: its process died, with its last words.
        """
        if not self.terminal.is_alive():
            raise self.board.died() or DeviceLostError(
                f"the emulated board {self.target.id} closed its port"
            )


@contextlib.contextmanager
def serve(project: Path, player: Player = "auto") -> Iterator[ServedBoard]:
    """Run the board of a project behind a pseudo-terminal for as long as the block runs.

    Args:
        project: a directory that `edgepack build` made.
        player: which emulator; auto takes QEMU where it is installed, else unicorn.

    Raises:
        ProjectError, ConfigError, FitError, MissingToolError: the board cannot be started.
        UsageError: the target is a real board, or this system has no pseudo-terminals.
        DeviceSilentError: the firmware did not start.
        DeviceLostError: the board died; also in the middle of the block.
    """
    manifest = read_manifest(project)
    target = load_target(manifest.target)
    with launch(project, manifest, target, player=player) as board, _connect(board.url) as device:
        _await_banner(device, target.id)
        with pseudo_terminal(device) as terminal:
            yield ServedBoard(manifest, target, board, terminal)


def listed_environment(port: str, usb_id: str) -> dict[str, str]:
    """Variables with which Python programs find a port in pyserial's list, as a USB device.

    Args:
        port: the path of the port.
        usb_id: vendor and product, such as 0483:374b.

    Raises:
        UsageError: usb_id is none.
    """
    if not _USB_ID.fullmatch(usb_id):
        raise UsageError(
            f"{usb_id!r} is no USB id", allowed="VENDOR:PRODUCT, four hexadecimal digits each"
        )
    folder = str(Path(__file__).resolve().parents[1] / "link" / "listed")
    path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    return {"EDGEPACK_LISTED_PORT": port, "EDGEPACK_LISTED_USB_ID": usb_id, "PYTHONPATH": path}


@contextlib.contextmanager
def _connect(url: str) -> Iterator[socket.socket]:
    host, port = url.removeprefix("socket://").rsplit(":", 1)
    try:
        device = socket.create_connection((host, int(port)), timeout=_START_SECONDS)
    except OSError as error:
        raise DeviceLostError(f"the board's socket {url} refused: {error}") from error
    with device:
        device.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield device


def _await_banner(device: socket.socket, name: str) -> None:
    """Read what the firmware says when it is up: it would be taken for the reply to a command."""
    said = b""
    deadline = time.monotonic() + _START_SECONDS
    while not said.endswith(_READY):
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeviceSilentError(
                f"the firmware on {name} did not say that it is ready within "
                f"{_START_SECONDS:g} s (last seen: {said[-80:].decode('ascii', 'replace')!r})",
                next_step="edgepack bench DIR, which says more about a board that does not start",
            )
        device.settimeout(left)
        try:
            data = device.recv(4096)
        except TimeoutError:
            continue
        if not data:
            raise DeviceLostError(f"the emulated board {name} closed its port while it started")
        said += data
