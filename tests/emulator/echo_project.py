"""Builds firmware/echo.c for any target, without a model: what the port tests run."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgepack.manifest import Manifest, ModelInfo
from edgepack.resources import firmware_dir
from edgepack.targets import Target, load_target
from edgepack.toolchain import compile_project, firmware_include_dirs, firmware_sources

ECHO = Path(__file__).parent / "firmware" / "echo.c"


def write_project(
    folder: Path, target: Target, source: str | None = None, optimize: str = "speed"
) -> Manifest:
    """A project directory that is ready to be compiled; returns its manifest."""
    folder.mkdir(parents=True)
    shutil.copytree(firmware_dir() / "port", folder / "firmware" / "port")
    (folder / "main.c").write_text(source or ECHO.read_text("utf-8"), "utf-8")
    return Manifest(
        edgepack_version="0",
        build_id="0" * 16,
        runtime="c",
        target=target.id,
        optimize=optimize,
        model=ModelInfo(
            name="echo",
            c_name="echo",
            sha256="0" * 64,
            macs=0,
            weights=0,
            weight_bytes=0,
            inputs=(),
            outputs=(),
            layers=(),
        ),
        arena_bytes=64,
        sources=("main.c", *(f"firmware/{name}" for name in firmware_sources(target))),
        include_dirs=tuple(f"firmware/{name}" for name in firmware_include_dirs(target)),
        defines=(),
    )


def build_echo(folder: Path, name: str) -> Manifest:
    """Compile echo.c for a target; returns the manifest with image and sizes."""
    target = load_target(name)
    return compile_project(folder, write_project(folder, target), target)
