"""Compiles a project for phones: one static program per ABI, for Linux kernels of any Android.

A static program needs neither the NDK nor a C library on the phone. Its segments are aligned for
kernels with pages of 4, 16 or 64 KB.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgepack import runner
from edgepack.errors import BuildError, MissingToolError, UnsupportedError
from edgepack.manifest import Manifest, ToolchainInfo, write_manifest
from edgepack.toolchain.flags import C_STANDARD, MATH, WARNINGS
from edgepack.toolchain.gcc import version_line
from edgepack.toolchain.zig import ZIG_FLAGS, find_zig, zig_install, zig_version

PHONE_PROGRAM = "build/ep_phone"
PHONE_SOURCES = ("port/phone/ep_phone.c",)
_PREFIX = "phone-"
_SECONDS = 300.0
# Of the bench firmware the program uses this alone.
_SUPPORT = ("ep_phone.c", "ep_crc32.c", "build_id.c")
_MODEL_FUNCTION = re.compile(r"\b(ep_\w+?)\s*\(")
_GNU = ("-D_GNU_SOURCE",)  # sched_setaffinity(2), sched_getcpu(3)
_PAGES = "-Wl,-z,max-page-size=65536"


@dataclass(frozen=True)
class Variant:
    """The model's kernels for cores with more instructions: a name, and the compiler's flags."""

    name: str
    gcc: tuple[str, ...]
    zig: tuple[str, ...]


@dataclass(frozen=True)
class Abi:
    """One of Android's ABIs (developer.android.com/ndk/guides/abis) and who compiles for it.

    machine: the ELF header's. gcc: the cross compiler; package: what Debian calls it.
    triple: zig's, with musl as C library. base_gcc, base_zig: flags of the least core that the ABI
    promises.
    """

    name: str
    machine: str
    gcc: str
    package: str
    triple: str
    base_gcc: tuple[str, ...]
    base_zig: tuple[str, ...]
    variants: tuple[Variant, ...] = ()

    @property
    def target(self) -> str:
        """What manifests call it."""
        return f"{_PREFIX}{self.name}"


ABIS = (
    Abi(
        "arm64-v8a",
        "EM_AARCH64",
        "aarch64-linux-gnu-gcc",
        "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        "aarch64-linux-musl",
        ("-march=armv8-a",),
        ("-mcpu=generic",),
        (Variant("dotprod", ("-march=armv8.2-a+dotprod",), ("-mcpu=generic+v8_2a+dotprod",)),),
    ),
    Abi(
        "armeabi-v7a",
        "EM_ARM",
        "arm-linux-gnueabihf-gcc",
        "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
        "arm-linux-musleabihf",
        ("-march=armv7-a", "-mfpu=neon", "-mthumb"),
        ("-mcpu=generic+v7a+neon",),
    ),
    Abi(
        "x86_64",
        "EM_X86_64",
        "x86_64-linux-gnu-gcc",
        "gcc libc6-dev",
        "x86_64-linux-musl",
        # the ABI promises SSE4.2 and POPCNT
        ("-march=x86-64-v2",),
        ("-mcpu=x86_64_v2",),
    ),
)


def phone_abi(name: str) -> Abi:
    """The ABI of that name.

    Raises:
        UnsupportedError: edgepack does not compile for it.
    """
    for abi in ABIS:
        if name in (abi.name, abi.target):
            return abi
    raise UnsupportedError(
        f"edgepack has no compiler settings for the ABI {name}",
        allowed=", ".join(abi.name for abi in ABIS),
        next_step="--benchmark-binary FILE runs TFLite's benchmark_model instead",
    )


def is_phone_target(target: str) -> bool:
    """Whether a manifest's target is a phone's ABI."""
    return any(abi.target == target for abi in ABIS)


@dataclass(frozen=True)
class PhoneCompiler:
    """A compiler for one ABI: its command, how it calls itself, and its own flags."""

    name: str
    cc: tuple[str, ...]
    version: str
    base: tuple[str, ...]
    flags: tuple[str, ...]

    def variant_flags(self, variant: Variant) -> tuple[str, ...]:
        """The flags that take the place of `base`."""
        return variant.gcc if self.name == "gcc" else variant.zig


def find_phone_compiler(abi: Abi, name: str | None = None) -> PhoneCompiler:
    """The compiler for an ABI: the cross GCC where it is installed, else zig.

    Args:
        name: `gcc` or `zig`; None or `auto` for the first that is there.

    Raises:
        MissingToolError: neither is; how to install each is named.
    """
    wanted = None if name in (None, "auto") else name
    gcc = runner.which(abi.gcc) if wanted in (None, "gcc") else None
    # -ffp-contract=off: fused multiply-adds would make float layers differ from TFLite's
    if gcc is not None:
        return PhoneCompiler("gcc", (gcc,), version_line(gcc), abi.base_gcc, ("-ffp-contract=off",))
    zig = find_zig() if wanted in (None, "zig") else None
    if zig is not None:
        flags = ("-ffp-contract=off", *ZIG_FLAGS)
        cc = (zig, "cc", "-target", abi.triple)
        return PhoneCompiler("zig", cc, zig_version(zig), abi.base_zig, flags)
    apt = f"sudo apt-get install {abi.package}"
    raise MissingToolError(
        f"no compiler for {abi.name} is installed (looked for {abi.gcc} and zig)",
        allowed=f"one of them:\n  gcc: {apt}\n  zig: {zig_install()}",
        next_step=apt,
    )


def compile_phone(
    project: Path, manifest: Manifest, abi: Abi, *, toolchain: str | None = None
) -> Manifest:
    """Compile and link a project's program and write its manifest again.

    Args:
        project: the directory with manifest.json, generated with PHONE_SOURCES as its port.
        manifest: what it says.
        toolchain: as for `find_phone_compiler`.

    Returns:
        The manifest with image and toolchain.

    Raises:
        BuildError: the compiler or linker refused; its messages are included.
        MissingToolError: no compiler is installed.
    """
    compiler = find_phone_compiler(abi, toolchain)
    build = project / "build"
    build.mkdir(exist_ok=True)
    common = ("-O3", *MATH, *compiler.flags, "-ffunction-sections", "-fdata-sections")
    includes = tuple(f"-I{folder}" for folder in manifest.include_dirs)
    jobs: list[tuple[str, tuple[str, ...]]] = []

    def add(source: str, flags: Sequence[str], suffix: str = "") -> None:
        output = f"build/{len(jobs):02d}_{Path(source).stem}{suffix}.o"
        words = (*compiler.cc, *common, *flags, *C_STANDARD, *WARNINGS, *includes)
        jobs.append((output, (*words, "-c", source, "-o", output)))

    chosen = tuple(f"-DEP_PHONE_{v.name.upper()}=1" for v in abi.variants)
    for source in manifest.sources:
        if Path(source).name in _SUPPORT:
            add(source, (*compiler.base, *_GNU, *chosen))
    model = ("bench_model.c", f"model/ep_{manifest.model.c_name}.c")
    for source in model:
        add(source, compiler.base)
    for variant in abi.variants:
        renamed = _renamed(project, manifest, variant.name)
        for source in model:
            flags = (*compiler.variant_flags(variant), *renamed)
            add(source, flags, f"_{variant.name}")
    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(lambda job: _compile(project, job[1]), jobs):
            if result.returncode != 0:
                raise _failed("compile", result)
    objects = [output for output, _ in jobs]
    pages = (_PAGES,) if compiler.name == "gcc" else ()
    link = (*compiler.cc, *compiler.base, "-O3", "-static", "-s", "-Wl,--gc-sections", *pages)
    result = _compile(project, (*link, *objects, "-lm", "-o", PHONE_PROGRAM))
    if result.returncode != 0:
        raise _failed("link", result)
    for output in objects:
        (project / output).unlink()
    done = manifest.model_copy(
        update={
            "image": PHONE_PROGRAM,
            "toolchain": ToolchainInfo(
                name=compiler.name, version=compiler.version, flags=(*compiler.base, *common)
            ),
        }
    )
    write_manifest(project, done)
    return done


def _renamed(project: Path, manifest: Manifest, variant: str) -> tuple[str, ...]:
    """Defines that give a second copy of the model other names for what the linker sees."""
    c_name = manifest.model.c_name
    header = (project / f"model/ep_{c_name}.h").read_text(encoding="utf-8")
    names = {n for n in _MODEL_FUNCTION.findall(header) if n.startswith(f"ep_{c_name}_")}
    renames = [f"-D{name}={name}__{variant}" for name in sorted(names)]
    return (*renames, f"-Dep_bench_model_instance=ep_bench_model_{variant}")


def _compile(project: Path, argv: Sequence[str]) -> runner.Result:
    return runner.run(argv, timeout=_SECONDS, cwd=project, check=False)


def _failed(what: str, result: runner.Result) -> BuildError:
    return BuildError(
        f"could not {what} the phone's program:\n{result.tail(20)}",
        next_step=f"cd PROJECT && {runner.printable(result.argv)}",
    )
