"""`edgepack flash`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgepack.commands.output import out

if TYPE_CHECKING:
    from edgepack.pipeline.flashing import Flashed


def flash(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A directory that `edgepack build` made.")
    ],
    tool: Annotated[
        str | None, typer.Option(help="Use only this flash tool.", show_default=False)
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            help="The board's serial port: some tools flash over it, and there the board is asked "
            "which image it runs.",
            show_default=False,
        ),
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option(
            metavar="SERIAL",
            help="Which of several boards: the serial number of the debug probe, the folder of "
            "the drive (uf2), HOST:PORT of the gdbserver (gdb).",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the command that would be run.")
    ] = False,
) -> None:
    """Put the image of a project on its board, and make sure that the board runs it.

    The tools of the board's record are tried in their order. An emulated board has no flash: its
    image is checked, and loaded when a run starts. Exits with 15 when the board answers with
    another build id than the image's.

    \b
    Examples:
        edgepack flash build/model
        edgepack flash build/model --port /dev/ttyACM0
        edgepack flash build/model --tool openocd --probe 066AFF49 --dry-run
    """
    from edgepack.manifest import read_manifest
    from edgepack.pipeline.flashing import flash_and_identify
    from edgepack.targets import Kind, load_target

    manifest = read_manifest(directory)
    target = load_target(manifest.target)
    with out().progress() as progress:
        progress(f"flash {target.id}", None, "")
        flashed = flash_and_identify(
            directory,
            manifest,
            target,
            tool=tool,
            port=port,
            probe=probe,
            dry_run=dry_run,
            progress=progress,
        )
    outcome = flashed.outcome
    document = {
        "target": target.id,
        "build_id": manifest.build_id,
        "tool": outcome.tool,
        "command": list(outcome.command),
        "dry_run": dry_run,
        "summary": outcome.summary,
        "compared": outcome.verified,
        "attempts": [asdict(attempt) for attempt in outcome.attempts],
        "port": flashed.port,
        "device_build_id": flashed.device_build_id,
        "not_asked": flashed.not_asked,
    }
    out().result(document, lambda: _show(target.id, flashed, dry_run))
    if not dry_run:
        real = target.kind is Kind.HARDWARE
        port = f" --port {flashed.port or 'PORT   # edgepack devices lists them'}" if real else ""
        out().note(f"next:  edgepack bench {directory}{port}")


def _show(target: str, flashed: Flashed, dry_run: bool) -> None:
    outcome = flashed.outcome
    for attempt in outcome.attempts:
        out().line(str(attempt))
    read_back = ", read back and equal" if outcome.verified else ""
    out().line(f"{target}: {outcome.summary}{read_back}")
    if flashed.device_build_id is not None:
        out().line(f"{target}: runs build {flashed.device_build_id} (asked at {flashed.port})")
    elif not dry_run:
        out().line(f"{target}: was not asked which image it runs: {flashed.not_asked}")
