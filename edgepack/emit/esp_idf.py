"""An ESP-IDF project around the generated C: two CMakeLists.txt and sdkconfig.defaults.

ESP-IDF Programming Guide, "Build System" (project and component CMakeLists files) and "Project
Configuration" (sdkconfig.defaults). IDF brings start-up code, linker script and C library; edgepack
brings the model, the kernels, the bench firmware and a port on IDF's drivers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgepack import __version__
from edgepack.emit.sources import write_text
from edgepack.emit.templates import render
from edgepack.errors import ConfigError
from edgepack.manifest import Manifest
from edgepack.targets import Target

TOOLCHAIN: Final = "esp-idf"
PROJECT_NAME = "firmware"  # idf.py calls its image build/firmware.elf
FILES = ("CMakeLists.txt", "main/CMakeLists.txt", "sdkconfig.defaults")
# IDF compiles with -std=gnu17 and warnings of its own; the newest of a kind wins.
_FLAGS = {
    "balanced": ("-O2",),
    "speed": ("-O3",),
    "ram": ("-O2",),
    "size": ("-Os",),
    "debug": ("-Og",),
}


def uses_esp_idf(target: Target) -> bool:
    """Whether the chip's images are made by ESP-IDF."""
    return TOOLCHAIN in target.soc.toolchain


def emit_esp_idf(directory: Path, manifest: Manifest, target: Target) -> tuple[str, ...]:
    """Write the files that make a project directory an ESP-IDF project.

    Args:
        directory: of the project; `manifest` lists its sources.
        target: a chip with `[toolchain.esp-idf]`, whose first flag names IDF's target.

    Returns:
        The files, relative to the directory.

    Raises:
        ConfigError: the record names no clock.
    """
    clock = target.clock_hz
    if clock is None or clock % 1_000_000:
        raise ConfigError(f"{target.soc.id} needs a clock in whole MHz for ESP-IDF, not {clock}")
    common = {"version": __version__, "target": target.id}
    texts = (
        render("esp_idf/project.cmake.j2", **common, project=PROJECT_NAME),
        render(
            "esp_idf/main.cmake.j2",
            **common,
            sources=manifest.sources,
            include_dirs=manifest.include_dirs,
            defines=(*target.defines, *manifest.defines),
            flags=(*_FLAGS[manifest.optimize], "-fno-math-errno"),
        ),
        render(
            "esp_idf/sdkconfig.defaults.j2",
            **common,
            idf_target=target.soc.toolchain[TOOLCHAIN].prefix,
            clock_mhz=clock // 1_000_000,
            stack_bytes=target.stack.bytes,
            extra=target.soc.toolchain[TOOLCHAIN].flags,
        ),
    )
    return tuple(write_text(directory, n, text) for n, text in zip(FILES, texts, strict=True))
