"""Starts the board of a project where the board is a process: QEMU, or the host program."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgepack import runner
from edgepack.errors import DeviceLostError, EdgepackError, UsageError
from edgepack.flash.emulator import UNICORN, Player, choose_emulator, qemu_command, unicorn_command
from edgepack.flash.flash import require_image
from edgepack.flash.running import RunningBoard, Tail
from edgepack.manifest import Manifest
from edgepack.targets import Kind, Target
from edgepack.toolchain import check_fit, check_image, read_image

_START_SECONDS = 10.0


@contextmanager
def launch(
    project: Path,
    manifest: Manifest,
    target: Target,
    extra: Sequence[str] = (),
    player: Player = "auto",
) -> Iterator[RunningBoard]:
    """Start the board and stop it when the block is left.

    The URL can be opened at once. An error from inside the block becomes a DeviceLostError that
    holds the board's last words when the board's process has died; if it lives, the error passes
    unchanged.

    Args:
        project: its directory.
        manifest: its manifest, with an image.
        target: an emulated board, or the host.
        extra: more arguments for QEMU; what else plays a board takes none.
        player: which emulator; auto takes QEMU where it is installed.

    Raises:
        UsageError: the target is real hardware, which has a port of its own; arguments for QEMU
            where it does not run.
        UnsupportedError: the emulator cannot play the board.
        DeviceLostError: the process died.
        FitError, BuildError: the image does not fit or could not start.
        MissingToolError: the emulator is not installed.
        ProjectError: the project has no image.
    """
    image = require_image(project, manifest)
    if target.kind is Kind.EMULATED:
        starter = _emulated(image, target, extra, player)
    elif target.kind is Kind.HOST:
        starter = _host(image, target)
    else:
        raise UsageError(
            f"target {target.id} is a real board: name the port that it is attached to",
            next_step="edgepack bench DIR --port PORT (edgepack devices lists the ports)",
        )
    with starter as board:
        try:
            yield board
        except (EdgepackError, OSError) as error:
            if isinstance(error, DeviceLostError) or board.died(wait=0.0) is not None:
                lost = board.died()
                if lost is not None:
                    raise lost from error
            raise


@contextmanager
def _emulated(
    image: Path, target: Target, extra: Sequence[str], player: Player
) -> Iterator[RunningBoard]:
    """The emulator inherits a socket that listens already: no port can be taken in between."""
    elf = read_image(image)
    check_fit(elf, target)
    check_image(elf, target)
    emulator = choose_emulator(target, player)
    if extra and emulator.name == UNICORN:
        raise UsageError(
            f"{' '.join(extra)} is for QEMU, and unicorn would play {target.id}",
            next_step="--emulator qemu",
        )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        if emulator.name == UNICORN:
            command = unicorn_command(target, image.resolve(), listener.fileno())
        else:
            # wait=on: the guest starts when its peer is there, so that the banner is not lost
            serial = f"socket,id=ep,fd={listener.fileno()},server=on,wait=on,nodelay=on"
            command = (*qemu_command(target, image, serial), *extra)
        with runner.background(command, pass_fds=(listener.fileno(),)) as child:
            # only the child may hold the listener, or its death would not refuse connections
            listener.close()
            assert child.stderr is not None
            yield RunningBoard(f"socket://127.0.0.1:{port}", target.id, child, Tail(child.stderr))


@contextmanager
def _host(image: Path, target: Target) -> Iterator[RunningBoard]:
    """The program prints its port, and ends when the pipe to its standard input closes."""
    command = (str(image.resolve()), "--lifeline")
    with runner.background(command, stdin=True) as child:
        assert child.stdout is not None and child.stderr is not None
        tail = Tail(child.stderr)
        line = _first_line(child.stdout.fileno())
        if not line.startswith(b"port "):
            lost = RunningBoard("", target.id, child, tail).died()
            raise lost or DeviceLostError(f"{image} did not say which port it listens on")
        yield RunningBoard(f"socket://127.0.0.1:{int(line[5:])}", target.id, child, tail)


def _first_line(pipe: int) -> bytes:
    """The first line that arrives on a pipe; less when it ends or nothing comes in time."""
    line = b""
    deadline = time.monotonic() + _START_SECONDS
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(pipe, 64) if ready else b""
        if not chunk:
            break
        line += chunk
    return line
