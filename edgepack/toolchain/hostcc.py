"""The compiler of this computer, for the host target: $CC, else cc, gcc, clang or zig."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from edgepack import runner
from edgepack.errors import MissingToolError
from edgepack.targets import Target
from edgepack.toolchain.base import Compiler
from edgepack.toolchain.gcc import version_line
from edgepack.toolchain.zig import ZIG_FLAGS, find_zig, is_zig, zig_version

_INSTALL = "sudo apt-get install gcc"
_INSTALL_CXX = "sudo apt-get install g++"


@dataclass(frozen=True)
class HostCc:
    """A native compiler that takes GCC's options."""

    name: str = "host"

    def supports(self, target: Target) -> bool:
        return "host" in target.soc.toolchain

    def installed(self, target: Target) -> bool:
        return _c_compiler() is not None

    def install(self, target: Target) -> str:
        return _INSTALL

    def find(self, target: Target) -> Compiler:
        cc = _c_compiler()
        if cc is None:
            names = os.environ.get("CC") or "cc, gcc, clang, zig"
            raise MissingToolError(
                f"no C compiler for this computer (looked for {names})",
                next_step=_INSTALL,
            )
        record = target.soc.toolchain["host"]
        zig = is_zig(cc)
        version = zig_version(cc[0]) if zig else version_line(cc[0])
        return Compiler(
            name=self.name,
            cc=cc,
            cxx=_pick("CXX", ("c++", "g++", "clang++")),
            version=version,
            target_flags=record.flags,
            # -ffp-contract=off: fused multiply-adds would make float layers differ from TFLite's
            compile_flags=("-ffp-contract=off", *(ZIG_FLAGS if zig else ())),
            link_flags=() if zig else ("-Wl,--build-id=none",),
            link_libs=record.libs,
            install_cxx=_INSTALL_CXX,
            dialect="clang" if zig or "clang" in version else "gcc",
            gnu_linker=not zig,
        )


def _c_compiler() -> tuple[str, ...] | None:
    found = _pick("CC", ("cc", "gcc", "clang"))
    zig = None if os.environ.get("CC") else find_zig()
    return (zig, "cc") if found is None and zig is not None else found


def _pick(variable: str, names: tuple[str, ...]) -> tuple[str, ...] | None:
    chosen = os.environ.get(variable)
    if chosen:
        words = tuple(shlex.split(chosen))
        return words if words and runner.which(words[0]) else None
    return next(((path,) for name in names if (path := runner.which(name))), None)
