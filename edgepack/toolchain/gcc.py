"""GCC cross compilers: arm-none-eabi and riscv64-unknown-elf."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack import runner
from edgepack.targets import Target
from edgepack.toolchain.base import Compiler

# Debian and Ubuntu package names; -lc and -lm come from a package of their own.
_INSTALL = {
    "arm-none-eabi-": "sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "riscv64-unknown-elf-": (
        "sudo apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"
    ),
}
# GCC's packages bring the C++ compiler, but not the headers of the C++ library. Debian has none for
# this RISC-V compiler.
_INSTALL_CXX = {
    "arm-none-eabi-": "sudo apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib",
}
# GCC 12.2 -O2 may store to a volatile once more when it moves the store out of a loop (a
# doubled UART character). Nothing here gains from that pass.
# Without the other two GCC fills registers with what kernels read rarely and spills what they need:
# 0.2 to 0.9 % fewer instructions and 0.1 to 0.4 % less flash in MLPerf Tiny's ic and vww (M4, -O2).
_OWN_FLAGS = ("-fno-move-loop-stores", "-fira-loop-pressure", "-fno-tree-pre")


@dataclass(frozen=True)
class Gcc:
    """A cross GCC named by `[toolchain.gcc] prefix`."""

    name: str = "gcc"

    def supports(self, target: Target) -> bool:
        return "gcc" in target.soc.toolchain

    def installed(self, target: Target) -> bool:
        return runner.which(target.soc.toolchain["gcc"].prefix + "gcc") is not None

    def install(self, target: Target) -> str:
        prefix = target.soc.toolchain["gcc"].prefix
        return _INSTALL.get(prefix, f"install {prefix}gcc and put it on PATH")

    def find(self, target: Target) -> Compiler:
        record = target.soc.toolchain["gcc"]
        cc = runner.require(record.prefix + "gcc", install=self.install(target))
        cxx = runner.which(record.prefix + "g++")
        specs = _picolibc(cc) if record.prefix.startswith("riscv64") else ()
        return Compiler(
            name=self.name,
            cc=(cc,),
            cxx=(cxx,) if cxx else None,
            version=version_line(cc),
            target_flags=record.flags,
            compile_flags=(*specs, *_OWN_FLAGS, "-ffreestanding"),
            link_flags=(*specs, "-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"),
            link_libs=("-Wl,--start-group", *record.libs, "-Wl,--end-group"),
            install_cxx=_INSTALL_CXX.get(
                record.prefix, f"install {record.prefix}g++ with a C++ library, or use --runtime c"
            ),
        )


def _picolibc(cc: str) -> tuple[str, ...]:
    """Debian's RISC-V GCC has no C library of its own; picolibc adds one through a specs file."""
    found = runner.run(
        [cc, "--specs=picolibc.specs", "-dumpversion"], timeout=20, check=False
    ).returncode
    return ("--specs=picolibc.specs",) if found == 0 else ()


def version_line(program: str) -> str:
    """The first line of `program --version`."""
    result = runner.run([program, "--version"], timeout=20)
    return result.stdout.splitlines()[0].strip()
