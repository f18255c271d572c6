"""What every way of putting an image on a board looks like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from edgepack.errors import ConfigError
from edgepack.manifest import Manifest
from edgepack.models.progress import Progress, silent
from edgepack.targets import Target

Format = Literal["elf", "hex", "bin", "uf2"]


class Options(BaseModel):
    """The `[[flash]] options` of one tool; unknown keys are refused. This one has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Capabilities:
    """What a flash tool can do.

    Attributes:
        formats: image formats that it takes; edgepack makes them from the ELF file.
        verifies: it reads back and compares what it wrote.
        resets: the board runs the new image afterwards without a touch.
        needs_hardware: it needs a board that is plugged in.
        erases: it erases the flash that it is about to write.
        needs_port: it flashes over the board's serial port (`--port`).
        port_is_firmwares: that port, if it takes one, is the one over which the firmware talks.
        needs_volume: the board must show up as a mass storage.
        selects_by: what `--probe` means to it, or None where it cannot choose among boards.
    """

    formats: tuple[Format, ...]
    verifies: bool
    resets: bool
    needs_hardware: bool
    erases: bool = False
    needs_port: bool = False
    port_is_firmwares: bool = True
    needs_volume: bool = False
    selects_by: str | None = None


@dataclass(frozen=True)
class FlashRequest:
    """One image for one board.

    `options` come from the board's record, `port` and `probe` from the user. `progress` is told
    how far the tool is.
    """

    project: Path
    manifest: Manifest
    target: Target
    options: dict[str, Any]
    port: str | None = None
    probe: str | None = None
    progress: Progress = silent

    @property
    def image(self) -> Path:
        """The ELF file that the manifest names; `require_image` has checked that it is there."""
        return self.project / (self.manifest.image or "")


@dataclass(frozen=True)
class Attempt:
    """A tool that was asked before the one that did it, why it could not, and what would help."""

    tool: str
    why: str
    next_step: str | None = None

    def __str__(self) -> str:
        advice = f"\n  next: {self.next_step}" if self.next_step else ""
        return f"{self.tool}: {self.why}{advice}"


@dataclass(frozen=True)
class FlashOutcome:
    """What a tool did.

    Attributes:
        tool: its name.
        command: as one could type it.
        summary: a sentence for the user.
        verified: what was written has been read back and compared, by the tool or the board.
        attempts: the tools that were tried before, in order.
    """

    tool: str
    command: tuple[str, ...]
    summary: str
    verified: bool = False
    attempts: tuple[Attempt, ...] = ()


class FlashTool(Protocol):
    """A program, or a protocol of our own, that puts an image on a board."""

    @property
    def name(self) -> str:
        """The name in `[[flash]] tool` of the board records; its file in edgepack/flash/."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def install(self) -> str:
        """The command that installs it."""
        ...

    @property
    def options(self) -> type[Options]:
        """What `[[flash]] options` may say."""
        ...

    def missing(self, request: FlashRequest) -> str | None:
        """Why it cannot be used here (a program that is not installed), or None."""
        ...

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        """What `flash` would run; a dry run prints it. The files that it names are made.

        Raises:
            UsageError: the tool needs a port and none was given.
        """
        ...

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Put the image on the board.

        Raises:
            FlashError: it did not arrive.
            MissingToolError: the program is not installed.
            UsageError: the tool needs a port and none was given.
        """
        ...


def check_options(tool: FlashTool, options: dict[str, Any], board: str) -> None:
    """Refuse options of a board's record that the tool does not know.

    Raises:
        ConfigError: which key is wrong.
    """
    try:
        tool.options.model_validate(options)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()
        )
        raise ConfigError(
            f"targets/boards/{board}.toml, [[flash]] tool {tool.name}: {problems}",
            allowed=", ".join(tool.options.model_fields) or "no options",
            next_step="docs/flashing.md lists the options of every tool",
        ) from error
