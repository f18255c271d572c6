"""What every compiler looks like to the build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from edgepack.targets import Target


@dataclass(frozen=True)
class Compiler:
    """A compiler that was found, with everything that the target asks of it.

    Attributes:
        name: the toolchain's name in the target's record, such as `gcc`.
        cc: the program and its fixed first arguments, for C; `cxx` for C++, or None where it is not
            installed.
        version: the line it prints about itself.
        target_flags: the chip's flags, for compiling and linking.
        compile_flags: this compiler's own, for compiling only.
        install_cxx: the command that installs the C++ compiler with its headers.
        link_flags: before the objects; `link_libs` behind them.
        dialect: whose options it takes beyond those that all compilers share.
        own_libc: link edgepack's own C library (firmware/libc) and compile with its headers.
        linker: the driver that links and its fixed arguments; None: `cc` with the chip's flags.
        gnu_linker: whether the driver passes every option of GNU's linker on.
    """

    name: str
    cc: tuple[str, ...]
    cxx: tuple[str, ...] | None
    version: str
    target_flags: tuple[str, ...]
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    link_libs: tuple[str, ...]
    install_cxx: str
    dialect: Literal["gcc", "clang"] = "gcc"
    own_libc: bool = False
    linker: tuple[str, ...] | None = None
    gnu_linker: bool = True

    @property
    def link_driver(self) -> tuple[str, ...]:
        """The command that links C, with the chip's flags."""
        return self.linker if self.linker is not None else (*self.cc, *self.target_flags)


class Toolchain(Protocol):
    """A way to get a compiler for a target."""

    @property
    def name(self) -> str:
        """The name in `[toolchain.<name>]` of the target records."""
        ...

    def supports(self, target: Target) -> bool:
        """Whether the target's record says how to use it."""
        ...

    def installed(self, target: Target) -> bool:
        """Whether it is there with everything that it needs for the target."""
        ...

    def install(self, target: Target) -> str:
        """The command that installs it."""
        ...

    def find(self, target: Target) -> Compiler:
        """The compiler.

        Raises:
            MissingToolError: it is not installed; the command that installs it is named.
        """
        ...
