"""Finds the user's TensorFlow Lite Micro: a library for the target and the headers it goes with.

Three layouts are known: the source tree of TFLM in which `make microlite` ran, the tree that TFLM's
project generation writes, and a folder of include/ and lib/. docs/tflm.md describes them.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from edgepack.emit.tflm_files import LIBRARY_NAME, TflmBuild
from edgepack.errors import MissingToolError, UsageError
from edgepack.targets import Kind, Target
from edgepack.toolchain.archive import Archive, read_archive

VARIABLE = "EDGEPACK_TFLM"
GUIDE = "docs/tflm.md"
_INTERPRETER = "tensorflow/lite/micro/micro_interpreter.h"
_FLATBUFFERS = "flatbuffers/flatbuffers.h"
# below the folder that the user names
_LIBRARY_FOLDERS = (".", "lib", "lib/*", "gen/*/lib")
# below the folder that holds tensorflow/: where its Makefile, and where its generated projects,
# keep the headers of others
_DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"
_HEADER_FOLDERS = (
    *(f"{_DOWNLOADS}/{name}" for name in ("flatbuffers/include", "gemmlowp", "ruy")),
    *(f"third_party/{name}" for name in ("flatbuffers/include", "gemmlowp", "ruy")),
)
# Tag_CPU_arch (IHI 0045) of what each architecture runs, oldest first
_RUNS = {
    "armv6-m": (11, 12),
    "armv7-m": (11, 12, 10),
    "armv7e-m": (11, 12, 10, 13),
    "armv8-m.main": (11, 12, 10, 16, 13, 17),
    "armv8.1-m.main": (11, 12, 10, 16, 13, 17, 21),
}
_HOST_MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64", "arm64": "EM_AARCH64"}
# What the names of symbols that only such a build has begin with: features of TFLM that change its
# structures, so that the library and what is compiled against its headers would disagree.
_FOREIGN_LAYOUT = {
    "TfLiteSparsityFree": "BUILD_TYPE=no_tf_lite_static_memory",
    "_ZN6tflite12MicroContext24DecompressTensorToBufferE": "compression",
}
_CMSIS_NN = "arm_convolve_s8"


def tflm_path(given: Path | None) -> Path | None:
    """Where the user says that TFLM is: `--tflm`, else the environment variable, else nowhere."""
    variable = os.environ.get(VARIABLE)
    return given or (Path(variable) if variable else None)


def find_tflm(path: Path, target: Target) -> TflmBuild:
    """The library for a target and the folders of its headers.

    Args:
        path: a folder in one of the three layouts, or the library itself.

    Raises:
        UsageError: there is no such path, or several libraries would do.
        MissingToolError: it holds no library for the target, or no headers.
        BuildError: a library is damaged.
    """
    if not path.exists():
        raise UsageError(
            f"TensorFlow Lite Micro: {path} does not exist",
            allowed=f"a folder with {LIBRARY_NAME} and TFLM's headers ({GUIDE})",
        )
    archive = _library(path, target)
    kernels = "cmsis_nn" if _CMSIS_NN in archive.symbols else "reference"
    return TflmBuild(archive.path, _headers(archive.path), kernels)


def _library(path: Path, target: Target) -> Archive:
    found = [read_archive(p) for p in _libraries(path)]
    if not found:
        raise MissingToolError(
            f"{path} holds no {LIBRARY_NAME} (looked in {', '.join(_LIBRARY_FOLDERS)})",
            next_step=f"build TFLM's `microlite` goal for {target.id} first: {GUIDE}",
        )
    refused = {archive.path: _mismatch(archive, target) for archive in found}
    fitting = [archive for archive in found if refused[archive.path] is None]
    if not fitting:
        reasons = "\n".join(f"  {p}: {why}" for p, why in refused.items())
        raise MissingToolError(
            f"no {LIBRARY_NAME} below {path} is for {target.id}:\n{reasons}",
            next_step=f"build TFLM's `microlite` goal for {target.id} as well: {GUIDE}",
        )
    best = max(_rank(archive, target) for archive in fitting)
    chosen = [archive for archive in fitting if _rank(archive, target) == best]
    if len(chosen) > 1:
        names = ", ".join(str(archive.path) for archive in chosen)
        raise UsageError(
            f"{len(chosen)} libraries below {path} fit {target.id}",
            allowed=names,
            next_step=f"--tflm {chosen[0].path}   (name the library itself)",
        )
    return chosen[0]


def _libraries(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder in _LIBRARY_FOLDERS:
        pattern = LIBRARY_NAME if folder == "." else f"{folder}/{LIBRARY_NAME}"
        yield from sorted(path.glob(pattern))


def _mismatch(archive: Archive, target: Target) -> str | None:
    """Why a library does not go with a target, or None."""
    for prefix, feature in _FOREIGN_LAYOUT.items():
        if any(symbol.startswith(prefix) for symbol in archive.symbols):
            return f"it was built with {feature}, which edgepack does not support"
    cpu = target.soc.cpu
    if target.kind is Kind.HOST:
        wanted = _HOST_MACHINES.get(platform.machine().lower())
        return None if archive.machine == wanted else f"it is for {archive.machine}"
    if cpu.arch.startswith("rv"):
        same = (archive.machine, archive.bits) == ("EM_RISCV", 32)
        return None if same else f"it is for {archive.machine}, {archive.bits} bits"
    if archive.machine != "EM_ARM":
        return f"it is for {archive.machine}"
    if archive.cpu_arch not in _RUNS.get(cpu.arch, ()):
        return f"its instructions (Tag_CPU_arch {archive.cpu_arch}) are not those of {cpu.arch}"
    hard = any("-mfloat-abi=hard" in record.flags for record in target.soc.toolchain.values())
    if archive.hard_float != hard:
        abi = "hard" if archive.hard_float else "soft"
        return f"it passes floats the {abi} way, the target's code does not (-mfloat-abi)"
    return None


def _rank(archive: Archive, target: Target) -> int:
    """How well a fitting library uses the CPU."""
    runs = _RUNS.get(target.soc.cpu.arch, ())
    return runs.index(archive.cpu_arch) if archive.cpu_arch in runs else 0


def _headers(library: Path) -> tuple[Path, ...]:
    """The folders to search: TFLM's own, then those of what it uses."""
    for above in library.resolve().parents:
        for root in (above, above / "include"):
            if (root / _INTERPRETER).is_file():
                return _with_others(root)
    raise MissingToolError(
        f"{library} has no headers: neither a folder above it nor an include/ there holds "
        f"{_INTERPRETER}",
        next_step=f"put it into the tree of the TFLM that it was built from: {GUIDE}",
    )


def _with_others(root: Path) -> tuple[Path, ...]:
    folders = (root, *(root / name for name in _HEADER_FOLDERS if (root / name).is_dir()))
    if not any((folder / _FLATBUFFERS).is_file() for folder in folders):
        raise MissingToolError(
            f"{root} has TFLM's headers, but not those of flatbuffers ({_FLATBUFFERS})",
            allowed=", ".join(("beside tensorflow/", *_HEADER_FOLDERS[::3])),
            next_step=f"build TFLM's `microlite` goal there: {GUIDE}",
        )
    return folders
