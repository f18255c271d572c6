"""edgepack's own small C library, for compilers that come without one (firmware/libc)."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgepack.resources import firmware_dir

LIBC_DIR = "firmware/libc"
# Without it, a compiler may turn the loop inside memcpy() into a call of memcpy().
LIBC_FLAGS = ("-fno-builtin",)


def copy_libc(project: Path) -> tuple[str, ...]:
    """Copy it into a project; returns its sources, relative to the project.

    The linker drops what is not used: each function has a section of its own.
    """
    target = project / LIBC_DIR
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(file for file in (firmware_dir() / "libc").iterdir() if file.is_file())
    for file in files:
        shutil.copyfile(file, target / file.name)
    return tuple(f"{LIBC_DIR}/{file.name}" for file in files if file.suffix == ".c")
