"""What an output format leaves in a project directory, and how it writes there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgepack.manifest import ModelInfo, TflmInfo


@dataclass(frozen=True)
class Sources:
    """The files of one runtime's model.

    written: paths relative to the project, of everything that takes part in compiling.
    model: what the manifest says about it.
    arena_bytes: of the arena that the firmware holds.
    roots: texts whose kernel headers must be copied from firmware/.
    folders: further folders of firmware/ that belong to the image.
    include_dirs: searched beside those that hold edgepack's own headers.
    defines: for every source file.
    tflm: the TensorFlow Lite Micro library among `written`.
    """

    written: tuple[str, ...]
    model: ModelInfo
    arena_bytes: int
    roots: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    include_dirs: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    tflm: TflmInfo | None = None


def write_text(directory: Path, relative: str, text: str) -> str:
    """Write a file of a project, with its folders, and return `relative`."""
    path = directory / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return relative
