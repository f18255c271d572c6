"""Compiles and links a project directory; its manifest then names image, toolchain and sizes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edgepack import runner
from edgepack.emit.esp_idf import TOOLCHAIN
from edgepack.errors import BuildError, MissingToolError, ProjectError
from edgepack.manifest import Manifest, ToolchainInfo, write_manifest
from edgepack.resources import firmware_dir
from edgepack.targets import Kind, Target
from edgepack.toolchain.base import Compiler
from edgepack.toolchain.boot_block import seal_image
from edgepack.toolchain.elf import read_image
from edgepack.toolchain.esp_idf import compile_esp_idf
from edgepack.toolchain.flags import (
    C_STANDARD,
    CXX_STANDARD,
    MATH,
    NOT_CXX,
    OPTIMIZE_MODEL,
    SECTIONS,
    SMALL,
    THIRD_PARTY,
    WARNINGS,
    optimize_flags,
)
from edgepack.toolchain.formats import write_formats
from edgepack.toolchain.image_check import check_image
from edgepack.toolchain.libc import LIBC_DIR, LIBC_FLAGS, copy_libc
from edgepack.toolchain.linker import LINKER_SCRIPT, render_linker_script
from edgepack.toolchain.sizes import check_fit, measure
from edgepack.toolchain.table import find_compiler

BUILD_DIR = "build"
BOARD_IMAGE = "build/firmware.elf"
HOST_IMAGE = "build/bench"
_COMPILE_SECONDS = 300.0
_POLL_SECONDS = 0.002
_C = (".c", ".S")
_CXX = (".cc", ".cpp")
# What surrounds the model: it runs between inferences, so its size counts and its speed does not.
_SUPPORT = ("firmware/bench/", "firmware/port/")
_LIBRARY = ".a"
# Sizes of memory regions in linker.ld, and a size in which everything fits.
_LENGTH = re.compile(r"LENGTH = 0x[0-9A-F]+")
_ROOMY = "LENGTH = 0x08000000"


@dataclass(frozen=True)
class Job:
    """One compiler call: what it is for, and its command."""

    what: str
    argv: tuple[str, ...]


def firmware_sources(target: Target) -> tuple[str, ...]:
    """The port's source files, relative to firmware/; every project for the target needs them."""
    return target.soc.port.sources


def firmware_include_dirs(target: Target) -> tuple[str, ...]:
    """The port's include directories, relative to firmware/. Every header in them is needed."""
    return target.soc.port.include_dirs


def firmware_files(target: Target) -> tuple[str, ...]:
    """What of firmware/ the port is made of: its sources, and all headers of its include dirs."""
    root = firmware_dir()
    headers = {
        path.relative_to(root).as_posix()
        for folder in firmware_include_dirs(target)
        for path in (root / folder).glob("*.h")
    }
    return (*firmware_sources(target), *sorted(headers))


def compile_project(
    project: Path, manifest: Manifest, target: Target, *, toolchain: str | None = None
) -> Manifest:
    """Compile and link a project and write its manifest again.

    Commands run in the project directory on relative paths, so the image does not depend on where
    it lies.

    Args:
        project: the directory with manifest.json.
        manifest: what it says; `sources`, `include_dirs` and `defines` are used.
        target: must be the manifest's target.
        toolchain: a name of edgepack/toolchain/table.py, or None or `auto` for the first installed.

    Returns:
        The manifest with image, toolchain and sizes.

    Raises:
        BuildError: the compiler or linker refused; its messages are included.
        FitError: the image is larger than the target's memory.
        MissingToolError: no compiler is installed.
        ProjectError: the manifest is for another target, or a source file is missing.
    """
    _check_project(project, manifest, target)
    compiler = find_compiler(target, toolchain)
    if compiler.name == TOOLCHAIN:
        return compile_esp_idf(project, manifest, target, compiler)
    libc = copy_libc(project) if compiler.own_libc else ()
    build = project / BUILD_DIR
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    if _has_cxx(manifest):
        _require_cxx(compiler)
    flags = compile_flags(manifest, target, compiler)
    objects, jobs = _compile_jobs(manifest, compiler, flags, libc)
    _run_all(jobs, project)
    image = HOST_IMAGE if target.kind is Kind.HOST else BOARD_IMAGE
    _link(project, manifest, target, compiler, objects, image)
    seal_image(project / image, target)
    elf = read_image(project / image)
    check_fit(elf, target)
    check_image(elf, target)
    done = manifest.model_copy(
        update={
            "image": image,
            "files": write_formats(elf, target, project, BUILD_DIR),
            "toolchain": ToolchainInfo(name=compiler.name, version=compiler.version, flags=flags),
            "sizes": measure(
                elf, target, [project / name for name in objects if name.endswith(".o")]
            ),
        }
    )
    write_manifest(project, done)
    return done


def compile_flags(manifest: Manifest, target: Target, compiler: Compiler) -> tuple[str, ...]:
    """The flags of every source file, without standard, warnings and includes."""
    defines = (*target.defines, *manifest.defines)
    return (
        *compiler.target_flags,
        *optimize_flags(manifest.optimize, compiler.dialect),
        *SECTIONS,
        *MATH,
        *compiler.compile_flags,
        *(f"-D{define}" for define in defines),
    )


def _check_project(project: Path, manifest: Manifest, target: Target) -> None:
    if manifest.target != target.id:
        raise ProjectError(
            f"{project} was generated for {manifest.target}, not for {target.id}",
            next_step=f"edgepack build MODEL --target {target.id} --out {project}",
        )
    missing = [name for name in manifest.sources if not (project / name).is_file()]
    if missing:
        raise ProjectError(
            f"{project} lacks {', '.join(missing[:5])}",
            next_step=f"edgepack build MODEL --target {target.id} --out {project}",
        )


def _has_cxx(manifest: Manifest) -> bool:
    return any(PurePosixPath(s).suffix in (*_CXX, _LIBRARY) for s in manifest.sources)


def _require_cxx(compiler: Compiler) -> None:
    """Make sure that there is a C++ compiler, and that it has the headers of its library."""
    missing = "no C++ compiler"
    if compiler.cxx is not None:
        probe = (*compiler.cxx, *compiler.target_flags, "-x", "c++", "-E", "-")
        text = "#include <algorithm>\n"
        if runner.run(probe, timeout=20, stdin=text, check=False).returncode == 0:
            return
        missing = f"no C++ library: {compiler.cxx[0]} does not find <algorithm>"
    raise MissingToolError(
        f"the project holds C++, and toolchain {compiler.name} has {missing}",
        next_step=compiler.install_cxx,
    )


def _compile_jobs(
    manifest: Manifest, compiler: Compiler, flags: tuple[str, ...], libc: Sequence[str]
) -> tuple[list[str], list[Job]]:
    objects: list[str] = []
    jobs: list[Job] = []
    includes = [f"-I{folder}" for folder in manifest.include_dirs]
    includes += [f"-isystem{LIBC_DIR}"] if libc else []
    for source in (*manifest.sources, *libc):
        suffix = PurePosixPath(source).suffix
        if suffix == _LIBRARY:
            objects.append(source)
            continue
        if suffix not in _C + _CXX:
            raise ProjectError(f"no compiler for {source}", allowed=", ".join(_C + _CXX))
        driver = compiler.cc if suffix in _C else compiler.cxx
        assert driver is not None  # _require_cxx
        standard = C_STANDARD if suffix in _C else CXX_STANDARD
        own_flags = flags if suffix in _C else tuple(f for f in flags if f not in NOT_CXX)
        own = not source.startswith(THIRD_PARTY)
        warnings = WARNINGS if own and suffix in _C else ("-w",)
        # numbered, because two folders may hold files of one name
        output = f"{BUILD_DIR}/{len(objects):03d}_{PurePosixPath(source).stem}.o"
        objects.append(output)
        small = source.startswith(_SUPPORT) and manifest.optimize in OPTIMIZE_MODEL
        extra = (
            *(SMALL[compiler.dialect] if small else ()),
            *(LIBC_FLAGS if source in libc else ()),
        )
        argv = (
            *(*driver, *own_flags, *extra, *standard, *warnings, *includes),
            *("-c", source, "-o", output),
        )
        jobs.append(Job(f"compile {source}", argv))
    return objects, jobs


def _run_all(jobs: Sequence[Job], project: Path) -> None:
    """Run compiler calls side by side, largest source first, from this one thread."""
    waiting = sorted(jobs, key=lambda job: _size(project, job), reverse=True)
    limit = os.cpu_count() or 1
    deadline = time.monotonic() + _COMPILE_SECONDS
    with ExitStack() as stack:
        running: list[tuple[Job, ExitStack, IO[bytes], subprocess.Popen[bytes]]] = []
        while waiting or running:
            while waiting and len(running) < limit:
                job = waiting.pop(0)
                own = stack.enter_context(ExitStack())
                log: IO[bytes] = own.enter_context(tempfile.TemporaryFile())
                child = own.enter_context(
                    runner.background(job.argv, cwd=project, stdout=log, stderr=log)
                )
                running.append((job, own, log, child))
            for entry in list(running):
                job, own, log, child = entry
                if child.poll() is None:
                    continue
                running.remove(entry)
                if child.returncode != 0:
                    raise _failed(job, log)
                own.close()
            if time.monotonic() > deadline:
                raise BuildError(
                    f"{running[0][0].what} did not finish within {_COMPILE_SECONDS:g} s"
                )
            time.sleep(_POLL_SECONDS)


def _size(project: Path, job: Job) -> int:
    return (project / job.argv[-3]).stat().st_size


def _failed(job: Job, log: IO[bytes]) -> BuildError:
    log.seek(0)
    text = log.read().decode("utf-8", "replace").strip()
    head = "\n".join(text.splitlines()[:20])
    return BuildError(
        f"could not {job.what}:\n{head}",
        next_step=f"cd PROJECT && {runner.printable(job.argv)}",
    )


def _link(
    project: Path,
    manifest: Manifest,
    target: Target,
    compiler: Compiler,
    objects: Sequence[str],
    image: str,
) -> None:
    script: tuple[str, ...] = ()
    if target.layout is not None:
        (project / LINKER_SCRIPT).write_text(render_linker_script(target), encoding="utf-8")
        script = ("-T", LINKER_SCRIPT)
    driver = compiler.link_driver
    if _has_cxx(manifest) and compiler.cxx:
        driver = (*compiler.cxx, *compiler.target_flags)
    argv = (
        *driver,
        *optimize_flags(manifest.optimize, compiler.dialect),
        *compiler.link_flags,
        "-Wl,--gc-sections",
        *((f"-Wl,-Map={BUILD_DIR}/firmware.map",) if compiler.gnu_linker else ()),
        *script,
        *objects,
        *compiler.link_libs,
        "-o",
        image,
    )
    result = runner.run(argv, timeout=120, cwd=project, check=False, what="link")
    if result.returncode == 0:
        return
    if target.layout is not None and "overflowed by" in result.stderr:
        _explain_overflow(project, target, argv, image, compiler.gnu_linker)
    raise BuildError(
        f"could not link {image}:\n{result.tail(20)}",
        next_step=f"cd PROJECT && {runner.printable(argv)}",
    )


def _explain_overflow(
    project: Path, target: Target, argv: Sequence[str], image: str, gnu_linker: bool
) -> None:
    """Link once more regardless of the overflow, to say what fills the memory."""
    if gnu_linker:
        forced = (*argv, "-Wl,--noinhibit-exec", "-Wl,--no-check-sections")
    else:
        roomy = f"{BUILD_DIR}/roomy.ld"
        text = (project / LINKER_SCRIPT).read_text(encoding="utf-8")
        (project / roomy).write_text(_LENGTH.sub(_ROOMY, text), encoding="utf-8")
        forced = tuple(roomy if word == LINKER_SCRIPT else word for word in argv)
    runner.run(forced, timeout=120, cwd=project, check=False, what="link")
    path = project / image
    if path.is_file():
        try:
            check_fit(read_image(path), target)
        finally:
            path.unlink()
