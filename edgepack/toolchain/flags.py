"""Compiler flags that do not depend on the chip."""

from __future__ import annotations

from edgepack.errors import ConfigError

# Measured on netduinoplus2 with GCC 12.2, against -O2: -O3 saves 11 % of the instructions of the
# MLPerf Tiny kws_int8 model for twice the code of its kernels, but 0.7 % of ic_int8's; -flto costs
# 0.1 %, saves 0.2 % of the flash and builds half again as long.
OPTIMIZE = {
    "balanced": ("-O2",),
    "speed": ("-O3",),
    "ram": ("-O2",),
    # firmware/kernels/ep_dot_dsp.h uses every register, and GCC 12.2 -Os gives up on it
    # ("impossible constraints") unless it schedules before allocating and leaves lr free of loop
    # counters
    "size": ("-Os", "-fschedule-insns", "-fno-branch-count-reg", "-DEP_DOT_ASM=1"),
    "debug": ("-Og", "-g"),
}
# clang's -Og is -O1.
OPTIMIZE_CLANG = {
    "balanced": ("-O2",),
    "speed": ("-O3",),
    "ram": ("-O2",),
    "size": ("-Oz",),
    "debug": ("-O1", "-g"),
}
# Goals whose image is fast where the model runs and small everywhere else.
OPTIMIZE_MODEL = ("balanced", "ram", "speed")
SMALL = {"gcc": ("-Os", "-fno-tree-loop-distribute-patterns"), "clang": ("-Oz",)}
C_STANDARD = ("-std=c99",)
CXX_STANDARD = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")
# A freestanding C++ library lacks parts that TFLM's headers include.
NOT_CXX = ("-ffreestanding",)
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror", "-Wconversion", "-Wdouble-promotion")
# Sources under this folder of a project were written by others: their warnings are not ours to fix.
THIRD_PARTY = "third_party/"
# One section per function and object, so that the linker drops what is not used; no unwind tables,
# which nothing on the device would read.
SECTIONS = (
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-asynchronous-unwind-tables",
    "-fno-common",
)
# The image has no libc to set errno for, and no caller who would read it.
MATH = ("-fno-math-errno",)


def optimize_flags(optimize: str, dialect: str = "gcc") -> tuple[str, ...]:
    """The flags of an optimisation goal, for GCC or for clang.

    Raises:
        ConfigError: it is none of `OPTIMIZE`.
    """
    if optimize not in OPTIMIZE:
        raise ConfigError(f"unknown optimize = {optimize!r}", allowed=", ".join(OPTIMIZE))
    return (OPTIMIZE_CLANG if dialect == "clang" else OPTIMIZE)[optimize]
