"""Results of expensive stages, kept by the digest of everything that went into them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack import __version__
from edgepack.atomic import new_directory

CACHE_NAME = ".edgepack-cache"
_RECORD = "stage.json"
_CHUNK_BYTES = 1 << 20
_KEY_DIGITS = 24  # of 64: 96 bits


@dataclass(frozen=True)
class Artefact:
    """What a stage produced: a folder, the digest of its inputs, and how it came about."""

    folder: Path
    key: str
    reused: bool
    seconds: float

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def tree_digest(roots: Iterable[Path], *, suffixes: frozenset[str] | None = None) -> str:
    """The SHA-256 over the names and contents of all files below some folders (or of some files).

    Args:
        roots: folders and files, in an order that matters.
        suffixes: which file name suffixes count, or None for all.
    """
    digest = hashlib.sha256()
    for root in roots:
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        for path in files:
            if path.suffix == ".pyc" or (suffixes is not None and path.suffix not in suffixes):
                continue
            name = path.relative_to(root).as_posix() if path != root else path.name
            digest.update(f"{name}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def code_digest(*parts: str) -> str:
    """The digest of edgepack's own sources below `parts`, such as "compress" or "cache".

    As an input of a stage it keeps a result from being reused once the code that made it changed.
    """
    package = Path(__file__).resolve().parent
    roots = [package / part for part in parts]
    return tree_digest([r if r.exists() else r.with_suffix(".py") for r in roots])


class Cache:
    """Artefacts below one folder. Deleting that folder, or any part of it, is always safe."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def holds(self, stage: str, inputs: Mapping[str, Any]) -> bool:
        """Whether `get` with the same arguments would reuse an artefact."""
        return (self.root / stage / stage_key(stage, inputs) / _RECORD).is_file()

    def get(
        self, stage: str, inputs: Mapping[str, Any], produce: Callable[[Path], None]
    ) -> Artefact:
        """The artefact of a stage, made now unless the same inputs made it before.

        Args:
            stage: the stage's name; part of the key.
            inputs: everything that determines the result, as JSON values (files by digest).
            produce: fills a new empty folder; it appears in the cache only when this returns.
        """
        key = stage_key(stage, inputs)
        folder = self.root / stage / key
        record = folder / _RECORD
        if record.is_file():
            seconds = float(json.loads(record.read_text(encoding="utf-8"))["seconds"])
            return Artefact(folder, key, True, seconds)
        started = time.monotonic()
        with new_directory(folder, may_replace=lambda _: True) as building:
            produce(building)
            seconds = time.monotonic() - started
            content = {"stage": stage, "inputs": dict(inputs), "seconds": round(seconds, 3)}
            text = json.dumps(content, indent=2, sort_keys=True)
            (building / _RECORD).write_text(text + "\n", encoding="utf-8")
        return Artefact(folder, key, False, seconds)

    def copy(
        self, artefact: Artefact, destination: Path, *, may_replace: Callable[[Path], bool]
    ) -> None:
        """Put a copy of an artefact where the user wants it, whole or not at all."""
        with new_directory(destination, may_replace=may_replace) as building:
            ignore = shutil.ignore_patterns(_RECORD)
            shutil.copytree(artefact.folder, building, dirs_exist_ok=True, ignore=ignore)


def stage_key(stage: str, inputs: Mapping[str, Any]) -> str:
    """The digest of a stage's name, this version of edgepack, and its inputs."""
    text = json.dumps([stage, __version__, inputs], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
