"""`edgepack flash`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgepack.commands.output import out


def flash(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A directory that `edgepack build` made.")
    ],
    tool: Annotated[
        str | None, typer.Option(help="Use only this flash tool.", show_default=False)
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(help="The serial port, for tools that flash over it.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the command that would be run.")
    ] = False,
) -> None:
    """Put the image of a project on its board.

    The tools of the board's record are tried in their order. An emulated board has no flash: its
    image is checked, and loaded when a run starts.

    \b
    Examples:
        edgepack flash build/model
        edgepack flash build/model --dry-run
    """
    from edgepack.flash import flash_project
    from edgepack.manifest import read_manifest
    from edgepack.targets import load_target

    manifest = read_manifest(directory)
    target = load_target(manifest.target)
    with out().progress() as progress:
        progress(f"flash {target.id}", None, "")
        outcome = flash_project(directory, manifest, target, tool=tool, port=port, dry_run=dry_run)
    document = {
        "target": target.id,
        "build_id": manifest.build_id,
        "tool": outcome.tool,
        "command": list(outcome.command),
        "dry_run": dry_run,
        "summary": outcome.summary,
    }
    out().result(document, lambda: out().line(f"{target.id}: {outcome.summary}"))
    if not dry_run:
        out().note(f"next:  edgepack bench {directory}")
