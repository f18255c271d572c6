"""clang for bare metal, with the libraries and the linker of the GNU toolchain, or its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgepack import runner
from edgepack.errors import MissingToolError
from edgepack.targets import Target
from edgepack.toolchain.base import Compiler
from edgepack.toolchain.cores import llvm_target
from edgepack.toolchain.gcc import Gcc, version_line

_INSTALL = "sudo apt-get install clang"
# clang fuses multiply-adds unless told not to, GCC with -std=c99 does not: float layers would
# differ. No unwind tables. EP_DOT_ASM: see firmware/kernels/ep_dot_dsp.h.
CLANG_FLAGS = (
    "-ffp-contract=off",
    "-fno-unwind-tables",
    "-fomit-frame-pointer",
    "-DEP_DOT_ASM=1",
    "-ffreestanding",
)

# The size of enumerations that GCC's libraries for Arm have.
_GNU_ENUMS = ("-fshort-enums",)


@dataclass(frozen=True)
class Clang:
    """clang, which compiles for every chip but brings no library for any.

    The compiler's runtime comes from the GCC for the chip, which also links; without one, from
    clang itself where its distribution has one for the chip (LLVM's embedded toolchains), linked by
    its lld. The C library is always edgepack's own (firmware/libc).
    """

    name: str = "clang"

    def supports(self, target: Target) -> bool:
        return Gcc().supports(target)

    def installed(self, target: Target) -> bool:
        clang = runner.which("clang")
        return clang is not None and _link(clang, target) is not None

    def install(self, target: Target) -> str:
        return f"{_INSTALL}   # and for its libraries: {Gcc().install(target)}"

    def find(self, target: Target) -> Compiler:
        clang = runner.require("clang", install=self.install(target))
        llvm = llvm_target(target)
        link = _link(clang, target)
        if link is None:
            raise MissingToolError(
                f"clang is installed, but it has no compiler runtime for {target.cpu}",
                next_step=f"{Gcc().install(target)}   # clang links with GCC's libraries",
            )
        return Compiler(
            name=self.name,
            cc=(clang,),
            cxx=None,
            version=version_line(clang),
            target_flags=(f"--target={llvm.triple}", *llvm.flags),
            compile_flags=(*CLANG_FLAGS, *(_GNU_ENUMS if llvm.triple.startswith("arm") else ())),
            link_flags=("-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"),
            link_libs=link.libs,
            install_cxx=f"use GCC (--toolchain gcc; {Gcc().install(target)}), or --runtime c",
            dialect="clang",
            own_libc=True,
            linker=link.driver,
        )


@dataclass(frozen=True)
class _Link:
    """What links clang's objects: a driver with its fixed arguments, and the compiler runtime."""

    driver: tuple[str, ...]
    libs: tuple[str, ...]


def _link(clang: str, target: Target) -> _Link | None:
    record = target.soc.toolchain["gcc"]
    gcc = runner.which(record.prefix + "gcc")
    if gcc is not None:
        return _Link((gcc, *record.flags), ("-lgcc",))
    llvm = llvm_target(target)
    own = (clang, f"--target={llvm.triple}", *llvm.flags, "-rtlib=compiler-rt")
    said = runner.run((*own, "-print-libgcc-file-name"), timeout=20, check=False).stdout.strip()
    if runner.which("ld.lld") is None or not Path(said).is_file():
        return None
    return _Link((*own, "-fuse-ld=lld"), (said,))
