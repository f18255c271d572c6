"""The `ziglang` wheel: clang, lld and a compiler runtime that pip installs, with no root rights."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from edgepack import runner
from edgepack.errors import MissingToolError
from edgepack.targets import Target
from edgepack.toolchain.base import Compiler
from edgepack.toolchain.clang import CLANG_FLAGS
from edgepack.toolchain.cores import llvm_target
from edgepack.toolchain.gcc import Gcc

# zig makes debug information unless told not to, and checks for undefined behaviour when it does
# not optimize; neither belongs into an image.
ZIG_FLAGS = ("-g0", "-fno-sanitize=undefined", "-fno-stack-protector")


def zig_install() -> str:
    """The command that installs zig for the Python that runs edgepack."""
    return f"{shlex.quote(sys.executable)} -m pip install 'edgepack[zig]'"


def find_zig() -> str | None:
    """zig's program: that of the ziglang wheel, else the one on PATH."""
    spec = importlib.util.find_spec("ziglang")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        for name in ("zig", "zig.exe"):
            if (Path(folder) / name).is_file():
                return str(Path(folder) / name)
    return runner.which("zig")


def zig_version(zig: str) -> str:
    """The version as manifests and reports state it."""
    return f"zig {runner.run((zig, 'version'), timeout=20).stdout.strip()}"


def is_zig(command: tuple[str, ...]) -> bool:
    """Whether a compiler command is zig's."""
    return Path(command[0]).stem == "zig"


@dataclass(frozen=True)
class Zig:
    """`zig cc` for bare metal, with edgepack's own C library (firmware/libc)."""

    name: str = "zig"

    def supports(self, target: Target) -> bool:
        return Gcc().supports(target)

    def installed(self, target: Target) -> bool:
        return find_zig() is not None

    def install(self, target: Target) -> str:
        return zig_install()

    def find(self, target: Target) -> Compiler:
        zig = find_zig()
        if zig is None:
            raise MissingToolError("zig is not installed", next_step=zig_install())
        llvm = llvm_target(target)
        abi = () if llvm.triple.startswith("arm") else ("-mcmodel=medany",)
        return Compiler(
            name=self.name,
            cc=(zig, "cc"),
            cxx=(zig, "c++"),
            version=zig_version(zig),
            target_flags=("-target", llvm.zig, f"-mcpu={llvm.cpu}", *abi),
            compile_flags=(*CLANG_FLAGS, *ZIG_FLAGS),
            link_flags=("-nostdlib", "-static", "-Wl,-e,ep_reset_handler"),
            # zig's driver takes few options of the linker, and its runtime is the only library
            link_libs=("-lcompiler_rt",),
            install_cxx=(
                f"use GCC (--toolchain gcc; {Gcc().install(target)}), or --runtime c: "
                "zig has no C++ library for bare metal"
            ),
            dialect="clang",
            own_libc=True,
            gnu_linker=False,
        )
