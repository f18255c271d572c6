"""New records: a board, and its chip where nobody has described it yet, to be filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from edgepack.errors import UsageError
from edgepack.resources import templates_dir

PLACEHOLDER = "?"
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class Scaffold:
    """What was written. `soc` is None where the board has a chip that was known already."""

    board: Path
    soc: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The new records."""
        return (self.board,) if self.soc is None else (self.board, self.soc)


def scaffold_target(
    name: str, soc: str | None, folder: Path, boards: tuple[str, ...], socs: tuple[str, ...]
) -> Scaffold:
    """Write records whose every unknown is a "?".

    Args:
        name: the new board's id.
        soc: the id of its chip, by default the board's; a known one gets no record of its own.
        folder: with boards/ and soc/, made where missing.
        boards: the boards that have a record.
        socs: the chips that have a record.

    Raises:
        UsageError: an id that is none, or a record of that name is there; nothing is written then.
    """
    chip = soc or name
    for given in (name, chip):
        if not _IDENTIFIER.fullmatch(given):
            raise UsageError(
                f"{given!r} is no id of a target",
                allowed="lower-case letters, digits, - and _, such as nucleo-f446re",
            )
    if name in boards:
        raise UsageError(f"there is a board {name} already", next_step=f"edgepack targets {name}")
    board_path = folder / "boards" / f"{name}.toml"
    soc_path = None if chip in socs else folder / "soc" / f"{chip}.toml"
    wanted = {board_path: "board.toml", **({soc_path: "soc.toml"} if soc_path else {})}
    for path in wanted:
        if path.exists():
            raise UsageError(
                f"{path} exists already; it is not overwritten",
                next_step=f"edgepack targets {name}   (or delete the file)",
            )
    for path, template in wanted.items():
        text = (templates_dir() / "targets" / template).read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(id=name, soc=chip), encoding="utf-8")
    return Scaffold(board_path, soc_path)


def unfilled(document: Any, where: str = "") -> Iterator[str]:
    """The keys of a record that still hold the placeholder, such as `memory.0.origin`."""
    if document == PLACEHOLDER:
        yield where
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from unfilled(value, f"{where}.{key}" if where else key)
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from unfilled(value, f"{where}.{index}")
