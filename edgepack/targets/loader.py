"""Reads and checks targets/{soc,boards,apps}/*.toml, edgepack's own and the user's."""

from __future__ import annotations

import difflib
import os
import tomllib
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from edgepack.errors import ConfigError
from edgepack.resources import targets_dir
from edgepack.targets.app import AppTarget
from edgepack.targets.board import Board
from edgepack.targets.record import Record
from edgepack.targets.scaffold import PLACEHOLDER, unfilled
from edgepack.targets.soc import Soc
from edgepack.targets.target import Target

VARIABLE = "EDGEPACK_TARGETS"  # a folder with boards/ and soc/ of the user's own
_R = TypeVar("_R", bound=Record)


def target_names() -> tuple[str, ...]:
    """The ids of all boards, sorted."""
    return _names("boards")


def soc_names() -> tuple[str, ...]:
    """The ids of all chips, sorted."""
    return _names("soc")


def app_names() -> tuple[str, ...]:
    """The ids of all kinds of apps, sorted."""
    return _names("apps")


@cache
def load_app(name: str) -> AppTarget:
    """The kind of app of that id.

    Raises:
        ConfigError: there is no such one, or its record is damaged.
    """
    return _load("apps", name, AppTarget)


@cache
def load_target(name: str) -> Target:
    """The board of that id with its chip.

    Raises:
        ConfigError: no such board (the closest and all known ones are named), or a damaged record.
    """
    board = _load("boards", name, Board)
    soc = _load("soc", board.soc, Soc)
    return Target(board, soc)


def load_targets() -> tuple[Target, ...]:
    """All targets, sorted by id.

    Raises:
        ConfigError: a record is damaged.
    """
    return tuple(load_target(name) for name in target_names())


def read_record(path: Path, model: type[_R]) -> _R:
    """Read one record from a file.

    Raises:
        ConfigError: it is not TOML, breaks the schema, or is a scaffold with keys to fill in; every
            such key is named.
    """
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
        open_keys = list(unfilled(document))
        if open_keys:
            raise ConfigError(
                f"{path} is not filled in yet: {', '.join(open_keys)}",
                next_step=f"replace every {PLACEHOLDER!r} in it, and delete what does not apply",
            )
        return model.model_validate(document)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'record'}: {item['msg']}"
            for item in error.errors()
        )
        raise ConfigError(
            f"{path} breaks the schema: {problems}",
            next_step=f"compare it with the other records in {path.parent}",
        ) from error


def _names(folder: str) -> tuple[str, ...]:
    found = (path.stem for root in _roots() for path in (root / folder).glob("*.toml"))
    return tuple(sorted(set(found)))


def _roots() -> tuple[Path, ...]:
    """Where records are looked for: edgepack's own, then the user's."""
    own = os.environ.get(VARIABLE)
    return (targets_dir(),) if not own else (targets_dir(), Path(own))


def _load(folder: str, name: str, model: type[_R]) -> _R:
    known = _names(folder)
    what = {"boards": "target", "soc": "chip", "apps": "kind of app"}[folder]
    if name not in known:
        close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(
            f"unknown {what} {name!r}{hint}",
            allowed=", ".join(known),
            next_step="edgepack targets",
        )
    path = next(p for r in _roots() if (p := r / folder / f"{name}.toml").is_file())
    record = read_record(path, model)
    if getattr(record, "id", None) != name:
        raise ConfigError(f"{path} says id = {getattr(record, 'id', None)!r}, not {name!r}")
    return record
