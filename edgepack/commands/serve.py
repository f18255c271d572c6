"""`edgepack serve`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgepack.commands.output import out
from edgepack.commands.player import PlayerOption

if TYPE_CHECKING:
    from edgepack.pipeline.serve import ServedBoard

_LOOK_SECONDS = 0.1


def serve(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A directory that `edgepack build` made.")
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND...]",
            help="Run this beside the board, with EDGEPACK_PORT set; its exit code is ours.",
            show_default=False,
        ),
    ] = None,
    usb_id: Annotated[
        str | None,
        typer.Option(
            metavar="VID:PID",
            help="Let pyserial in Python programs list the port as this USB device.",
            show_default=False,
        ),
    ] = None,
    emulator: PlayerOption = None,
) -> None:
    """Run an emulated board with its serial port as a pseudo-terminal (/dev/pts/N).

    Any program can open the port, as often as it likes, until Ctrl-C or the end of COMMAND.

    \b
    Examples:
        edgepack serve build/model
        edgepack serve build/model -- python -m serial.tools.miniterm --raw /dev/pts/N
        edgepack serve build/model --emulator unicorn
        edgepack serve build/kws --usb-id 0483:374b -- python main.py --mode a ...
    """
    from edgepack.pipeline.serve import listed_environment
    from edgepack.pipeline.serve import serve as serving

    with serving(directory, "auto" if emulator is None else emulator.value) as served:
        environment = {"EDGEPACK_PORT": served.port}
        if usb_id is not None:
            environment |= listed_environment(served.port, usb_id)
        document = {
            "port": served.port,
            "target": served.target.id,
            "build_id": served.manifest.build_id,
            "pid": served.board.pid,
            "environment": environment,
        }
        out().result(document, lambda: _show(served, {} if command else environment))
        sys.stdout.flush()
        if command:
            raise typer.Exit(_run(command, environment, served))
        while True:
            served.check()
            time.sleep(_LOOK_SECONDS)


def _show(served: ServedBoard, environment: Mapping[str, str]) -> None:
    model = served.manifest.model.name
    out().line(f"{model} on {served.target.id}: {served.port}")
    for name, value in environment.items():
        if name != "EDGEPACK_PORT":
            out().line(f"  {name}={value}")
    if environment:
        out().note("Ctrl-C stops the board")


def _run(command: list[str], environment: Mapping[str, str], served: ServedBoard) -> int:
    """Run the user's command to its end; its output is not ours, so with --json it goes aside."""
    from edgepack import runner

    stdout = sys.stderr.fileno() if out().options.as_json else sys.stdout.fileno()
    with runner.background(
        command, env=environment, stdout=stdout, stderr=sys.stderr.fileno()
    ) as child:
        while child.poll() is None:
            served.check()
            time.sleep(_LOOK_SECONDS)
        # a command that a signal ended: what a shell would report
        return child.returncode if child.returncode >= 0 else 128 - child.returncode
