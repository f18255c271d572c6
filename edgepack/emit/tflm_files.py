"""A TensorFlow Lite Micro build of the user's own, and what of it a project needs.

A project is complete in itself, so the library and exactly those headers that the generated C++
includes are copied into its third_party/ folder. edgepack ships none of them.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from edgepack.manifest import TflmInfo

THIRD_PARTY = "third_party"
HEADERS = f"{THIRD_PARTY}/include"
LIBRARY_NAME = "libtensorflow-microlite.a"
# TFLM's own build defines the first for the library (tools/make/Makefile): tensors differ in size
# without. The second makes the bench firmware ask TFLM how much of the arena it uses.
DEFINES = ("TF_LITE_STATIC_MEMORY", "EP_BENCH_ARENA_USED=1")

_INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)


@dataclass(frozen=True)
class TflmBuild:
    """A library that fits the target, and where its headers are.

    library: a libtensorflow-microlite.a.
    include_dirs: folders with TFLM's and flatbuffers' headers, in the order of their search.
    kernels: the optimized kernels it holds, or `reference`.
    """

    library: Path
    include_dirs: tuple[Path, ...]
    kernels: str

    def digest(self) -> str:
        """Changes with the library; headers only change together with it."""
        return hashlib.sha256(self.library.read_bytes()).hexdigest()

    def info(self) -> TflmInfo:
        """What the manifest says about it."""
        return TflmInfo(library_sha256=self.digest(), kernels=self.kernels)


def copy_tflm(build: TflmBuild, source: str, directory: Path) -> list[str]:
    """Copy the library and the headers that `source` reaches.

    Args:
        build: where they are.
        source: the text of a C++ file.
        directory: the project.

    Returns:
        The copied paths, relative to `directory`.
    """
    library = f"{THIRD_PARTY}/{LIBRARY_NAME}"
    copied = [library]
    (directory / HEADERS).mkdir(parents=True)
    shutil.copyfile(build.library, directory / library)
    for name, path in sorted(header_closure(build, source).items()):
        relative = f"{HEADERS}/{name}"
        (directory / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, directory / relative)
        copied.append(relative)
    return copied


def header_closure(build: TflmBuild, source: str) -> dict[str, Path]:
    """The headers that a source reaches, by the name under which they are included.

    Conditions are not evaluated: what an inactive `#if` includes is taken along where it exists.
    """
    found: dict[str, Path] = {}
    waiting = list(_INCLUDE.findall(source))
    while waiting:
        # one spelling for every file: "a/./b.h" and "a/c/../b.h" are "a/b.h"
        name = posixpath.normpath(waiting.pop())
        if name in found or name.startswith(("../", "/")):
            continue
        path = next((d / name for d in build.include_dirs if (d / name).is_file()), None)
        if path is None:
            continue
        found[name] = path
        folder = posixpath.dirname(name)
        for inner in _INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
            # a quoted name is looked for beside its file first
            beside = (path.parent / inner).is_file()
            waiting.append(posixpath.join(folder, inner) if beside else inner)
    return found
