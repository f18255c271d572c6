"""Puts a project's image on its board, with the first of the board's tools that works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgepack import runner
from edgepack.errors import ConfigError, FlashError, MissingToolError, ProjectError
from edgepack.flash.base import FlashOutcome, FlashRequest, FlashTool
from edgepack.flash.table import FLASH_TOOLS
from edgepack.manifest import Manifest
from edgepack.targets import Target


def flash_project(
    project: Path,
    manifest: Manifest,
    target: Target,
    *,
    tool: str | None = None,
    port: str | None = None,
    dry_run: bool = False,
) -> FlashOutcome:
    """Flash the image of a project.

    Args:
        project: its directory.
        manifest: its manifest, with an image.
        target: the manifest's target.
        tool: use only this tool; None tries those of the board's record in their order.
        port: the serial port, for tools that flash over it.
        dry_run: only say which command the first usable tool would run.

    Raises:
        ConfigError: the board's record does not name that tool.
        FlashError: every tool failed; what each one said is included.
        MissingToolError: none of them is installed.
        ProjectError: the project has no image.
    """
    require_image(project, manifest)
    unusable: list[str] = []
    failed: list[str] = []
    install: str | None = None
    for flasher, request in _candidates(project, manifest, target, tool, port):
        reason = flasher.missing(request)
        if reason is not None:
            unusable.append(f"{flasher.name}: {reason}")
            install = install or flasher.install
            continue
        if dry_run:
            command = flasher.command(request)
            return FlashOutcome(flasher.name, command, f"would run {runner.printable(command)}")
        try:
            return flasher.flash(request)
        except FlashError as error:
            failed.append(f"{flasher.name}: {error.message}")
    if failed:
        raise FlashError(f"could not flash {target.id}:\n" + "\n".join(failed + unusable))
    raise MissingToolError(
        f"no tool to flash {target.id}:\n" + "\n".join(unusable), next_step=install
    )


def require_image(project: Path, manifest: Manifest) -> Path:
    """The project's image.

    Raises:
        ProjectError: it was not compiled yet, or the file is gone.
    """
    if manifest.image is None or not (project / manifest.image).is_file():
        again = f"edgepack build MODEL --target {manifest.target} --out {project}"
        if manifest.runtime == "tflm" and manifest.tflm is None:
            raise ProjectError(
                f"{project} has no image: it was generated without a TensorFlow Lite Micro to link",
                allowed="a TFLM that was built for the target (docs/tflm.md)",
                next_step=f"{again} --runtime tflm --tflm FOLDER",
            )
        raise ProjectError(
            f"{project} has no image: it was generated but not compiled", next_step=again
        )
    return project / manifest.image


def _candidates(
    project: Path, manifest: Manifest, target: Target, tool: str | None, port: str | None
) -> Iterator[tuple[FlashTool, FlashRequest]]:
    by_name = {flasher.name: flasher for flasher in FLASH_TOOLS}
    names = [method.tool for method in target.board.flash]
    if not names or (tool is not None and tool not in names):
        raise ConfigError(
            f"target {target.id} has no flash tool {tool or ''}".rstrip(),
            allowed=", ".join(names) or "none: the board's record lists no [[flash]]",
            next_step=f"edgepack targets {target.id}",
        )
    for method in target.board.flash:
        if tool is None or method.tool == tool:
            yield (
                by_name[method.tool],
                FlashRequest(project, manifest, target, dict(method.options), port),
            )
