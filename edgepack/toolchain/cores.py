"""How clang and zig are told about a chip, derived from what its record tells GCC."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.errors import UnsupportedError
from edgepack.targets import Target

# GCC's -mfpu and the feature of LLVM's ARM back end (llvm/lib/Target/ARM/ARMFeatures.td).
_FPU = {
    "fpv4-sp-d16": "vfp4d16sp",
    "fpv5-sp-d16": "fp_armv8d16sp",
    "fpv5-d16": "fp_armv8d16",
}
# Extensions that LLVM's description of the core leaves to the chip, by edgepack's `isa`.
_EXTENSIONS = {
    "cortex-m33": {"dsp": "dsp"},
    "cortex-m55": {"mve": "mve_fp"},
}
_OF_MARCH = {"m": "m", "a": "a", "f": "f", "d": "d", "c": "c"}


@dataclass(frozen=True)
class LlvmTarget:
    """What LLVM needs to know of a chip.

    triple: for clang's `--target`. zig: for zig's `-target`. cpu: zig's `-mcpu` with its features.
    flags: for clang beside the triple.
    """

    triple: str
    zig: str
    cpu: str
    flags: tuple[str, ...]


def llvm_target(target: Target) -> LlvmTarget:
    """The description of a target's chip for LLVM.

    Raises:
        UnsupportedError: its record has no GCC flags, or flags that are not known here.
    """
    record = target.soc.toolchain.get("gcc")
    if record is None:
        raise UnsupportedError(f"the record of {target.soc.id} says nothing about its compiler")
    if target.soc.cpu.arch.startswith("rv32"):
        return _riscv(target, record.flags)
    return _arm(target, record.flags)


def _value(flags: tuple[str, ...], name: str) -> str | None:
    return next((f.partition("=")[2] for f in flags if f.startswith(f"{name}=")), None)


def _arm(target: Target, flags: tuple[str, ...]) -> LlvmTarget:
    core = _value(flags, "-mcpu")
    fpu, hard = _value(flags, "-mfpu"), _value(flags, "-mfloat-abi") == "hard"
    if core is None or (fpu is not None and fpu not in _FPU):
        raise UnsupportedError(
            f"the chip {target.soc.id} is described to GCC by {' '.join(flags)}, which edgepack "
            "cannot translate for LLVM",
            allowed=f"-mcpu, and -mfpu one of {', '.join(_FPU)}",
        )
    extensions = _EXTENSIONS.get(core, {})
    features = [name for isa, name in extensions.items() if isa in target.isa]
    features += [_FPU[fpu]] if fpu is not None and hard else []
    return LlvmTarget(
        triple="arm-none-eabi",
        zig=f"thumb-freestanding-{'eabihf' if hard else 'eabi'}",
        cpu="+".join((core.replace("-", "_"), *features)),
        flags=flags,
    )


def _riscv(target: Target, flags: tuple[str, ...]) -> LlvmTarget:
    march = _value(flags, "-march") or ""
    letters = march.removeprefix("rv32i")
    if not march.startswith("rv32i") or any(letter not in _OF_MARCH for letter in letters):
        raise UnsupportedError(
            f"the chip {target.soc.id} is described to GCC by {' '.join(flags)}, which edgepack "
            "cannot translate for LLVM",
            allowed="-march=rv32i with the extensions m, a, f, d, c",
        )
    # since LLVM 17 the control registers are an extension of their own, which GCC 12's default
    # specification (-misa-spec=2.2) still counts to the base
    features = (*(_OF_MARCH[letter] for letter in letters), "zicsr")
    own = tuple(f for f in flags if not f.startswith("-misa-spec"))
    return LlvmTarget(
        triple="riscv32-unknown-elf",
        zig="riscv32-freestanding-none",
        cpu="+".join(("generic_rv32", *features)),
        flags=own,
    )
