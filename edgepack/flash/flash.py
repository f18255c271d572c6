"""Puts a project's image on its board, with the first of the board's tools that works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgepack import runner
from edgepack.errors import (
    ConfigError,
    EdgepackError,
    FlashError,
    MissingToolError,
    ProjectError,
    UsageError,
)
from edgepack.flash.base import Attempt, FlashOutcome, FlashRequest, FlashTool, check_options
from edgepack.flash.table import FLASH_TOOLS
from edgepack.manifest import Manifest
from edgepack.models.progress import Progress, silent
from edgepack.targets import Target
from edgepack.toolchain import check_fit, check_image, read_image


def flash_project(
    project: Path,
    manifest: Manifest,
    target: Target,
    *,
    tool: str | None = None,
    port: str | None = None,
    probe: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> FlashOutcome:
    """Flash the image of a project.

    Args:
        project: its directory.
        manifest: its manifest, with an image.
        target: the manifest's target.
        tool: use only this tool; None tries those of the board's record in their order.
        port: the serial port, for tools that flash over it.
        probe: which of several boards; what it is depends on the tool (docs/flashing.md).
        dry_run: only say which command the first usable tool would run.
        progress: told how far the tool is.

    Raises:
        ConfigError: the board's record does not name that tool, or gives it unknown options.
        FitError, BuildError: the image is too large for the board, or could not start.
        FlashError: every tool failed; what each one said is included.
        MissingToolError: none of them is installed.
        ProjectError: the project has no image.
        UsageError: the only tool needs a port.
    """
    require_image(project, manifest)
    failed: list[EdgepackError] = []
    attempts: list[Attempt] = []
    for flasher, options in _candidates(target, tool):
        request = FlashRequest(
            project, manifest, target, options, port=port, probe=probe, progress=progress
        )
        reason = flasher.missing(request)
        if reason is not None:
            attempts.append(Attempt(flasher.name, reason))
            continue
        try:
            if flasher.capabilities.needs_hardware:
                check_sound(request)
            outcome = _dry(flasher, request) if dry_run else flasher.flash(request)
            return replace(outcome, attempts=tuple(attempts))
        except (FlashError, MissingToolError, UsageError) as error:
            attempts.append(Attempt(flasher.name, error.message, error.next_step))
            failed.append(error)
    raise _nothing_worked(target, tool, attempts, failed)


def _dry(flasher: FlashTool, request: FlashRequest) -> FlashOutcome:
    command = flasher.command(request)
    return FlashOutcome(flasher.name, command, f"would run {runner.printable(command)}")


def _nothing_worked(
    target: Target,
    tool: str | None,
    attempts: list[Attempt],
    failed: list[EdgepackError],
) -> EdgepackError:
    """The one error that tells what every tool said; its next step is that of the first to run."""
    if len(attempts) == 1 and failed:
        return failed[0]
    told = "\n".join(map(str, attempts))
    if failed:
        return FlashError(
            f"could not flash {target.id}; tried in this order:\n{told}",
            next_step=failed[0].next_step,
        )
    first = next(flasher for flasher in FLASH_TOOLS if flasher.name == attempts[0].tool)
    return MissingToolError(f"no tool to flash {target.id}:\n{told}", next_step=first.install)


def check_sound(request: FlashRequest) -> None:
    """Refuse an image that does not fit its board or could not start, before it is written.

    Raises:
        FitError, BuildError: what is wrong with it.
        ProjectError: it is no ELF file.
    """
    if request.target.layout is None:
        return
    image = read_image(request.image)
    check_fit(image, request.target)
    check_image(image, request.target)


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


def _candidates(target: Target, tool: str | None) -> Iterator[tuple[FlashTool, dict[str, Any]]]:
    by_name = {flasher.name: flasher for flasher in FLASH_TOOLS}
    methods = target.board.flash
    names = [method.tool for method in methods]
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ConfigError(
            f"targets/boards/{target.id}.toml names the flash tool {unknown[0]}",
            allowed=", ".join(by_name),
        )
    if not names or (tool is not None and tool not in names):
        raise ConfigError(
            f"target {target.id} has no flash tool {tool or ''}".rstrip(),
            allowed=", ".join(dict.fromkeys(names))
            or "none: the board's record lists no [[flash]]",
            next_step=f"edgepack targets {target.id}",
        )
    for method in methods:
        if tool is None or method.tool == tool:
            flasher = by_name[method.tool]
            check_options(flasher, method.options, target.id)
            yield flasher, dict(method.options)
