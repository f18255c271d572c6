"""Directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edgepack.errors import ProjectError


@contextlib.contextmanager
def new_directory(destination: Path, *, may_replace: Callable[[Path], bool]) -> Iterator[Path]:
    """Build a directory beside `destination`; it takes that name when the block ends well.

    When the block raises, or the process is interrupted, what was built is removed and whatever
    stood at `destination` is untouched. The swap itself is two renames: a crash of the machine
    between them leaves the old directory under a name that begins with a dot.

    Args:
        destination: the directory to appear; its parents are created.
        may_replace: decides whether a non-empty directory that stands there may be replaced.

    Raises:
        ProjectError: `destination` is a file, may not be replaced, or cannot be written.
    """
    destination = Path(os.path.abspath(destination))  # noqa: PTH100  # resolve() would follow a link
    check_replaceable(destination, may_replace=may_replace)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent)
    except OSError as error:
        raise ProjectError(
            f"cannot write beside {destination}: {error.strerror}",
            next_step="choose a directory that you may write to",
        ) from error
    building = Path(made)
    try:
        # mkdtemp is private to the user; an artefact has ordinary permissions
        building.chmod(0o777 & ~_umask())
        yield building
        _swap(building, destination)
    finally:
        if building.exists():
            shutil.rmtree(building)


def check_replaceable(destination: Path, *, may_replace: Callable[[Path], bool]) -> None:
    """Refuse a destination that `new_directory` would not replace, before any work is done.

    Raises:
        ProjectError: it is a file, or a directory of something else.
    """
    if destination.is_dir():
        if any(destination.iterdir()) and not may_replace(destination):
            raise ProjectError(
                f"{destination} holds something that edgepack did not write",
                allowed="a new directory, an empty one, or an earlier edgepack project",
                next_step="choose another --out, or remove it yourself",
            )
    elif destination.exists() or destination.is_symlink():
        raise ProjectError(
            f"{destination} exists and is not a directory",
            next_step="choose another --out",
        )


def _swap(new: Path, destination: Path) -> None:
    if not destination.exists():
        new.rename(destination)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{destination.name}.old.", dir=destination.parent))
    destination.rename(old / "previous")
    try:
        new.rename(destination)
    except OSError:
        (old / "previous").rename(destination)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
