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
_OWN_FLAGS = ("-fno-move-loop-stores",)
# The SMLAD kernels need every register: without these GCC fills them with what is rarely read,
# and spills. MLPerf Tiny on M4 at -O2: ic 0.4 % and vww 0.9 % fewer instructions, 0.2 to 0.4 % less
# flash, kws 0.4 % more instructions. Helium and scalar kernels lose (kws on M55: 1.4 %).
_DSP_FLAGS = ("-fira-loop-pressure", "-fno-tree-pre")


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
        isa = set(target.isa)
        own = (*_OWN_FLAGS, *(_DSP_FLAGS if "dsp" in isa and "mve" not in isa else ()))
        return Compiler(
            name=self.name,
            cc=(cc,),
            cxx=(cxx,) if cxx else None,
            version=version_line(cc),
            target_flags=record.flags,
            compile_flags=(*specs, *own, "-ffreestanding"),
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
