"""What every way of putting an image on a board looks like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgepack.manifest import Manifest
from edgepack.targets import Target


@dataclass(frozen=True)
class Capabilities:
    """What a flash tool can do.

    Attributes:
        formats: image formats that it takes: `elf`, `hex`, `bin`, `uf2`.
        verifies: it reads back and compares what it wrote.
        resets: the board runs the new image afterwards without a touch.
        needs_hardware: it needs a board that is plugged in.
    """

    formats: tuple[str, ...]
    verifies: bool
    resets: bool
    needs_hardware: bool


@dataclass(frozen=True)
class FlashRequest:
    """One image for one board. `options` come from the board's record, `port` from the user."""

    project: Path
    manifest: Manifest
    target: Target
    options: dict[str, Any]
    port: str | None = None

    @property
    def image(self) -> Path:
        """The ELF file that the manifest names; `require_image` has checked that it is there."""
        return self.project / (self.manifest.image or "")


@dataclass(frozen=True)
class FlashOutcome:
    """What a tool did: the command as one could type it, and a sentence for the user."""

    tool: str
    command: tuple[str, ...]
    summary: str


class FlashTool(Protocol):
    """A program, or a protocol of our own, that puts an image on a board."""

    @property
    def name(self) -> str:
        """The name in `[[flash]] tool` of the board records."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def install(self) -> str:
        """The command that installs it."""
        ...

    def missing(self, request: FlashRequest) -> str | None:
        """Why it cannot be used here (a program that is not installed), or None."""
        ...

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        """What `flash` would run; a dry run prints it."""
        ...

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Put the image on the board.

        Raises:
            FlashError: it did not arrive.
            MissingToolError: the program is not installed.
        """
        ...
