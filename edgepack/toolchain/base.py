"""What every compiler looks like to the build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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
        """Whether its program is on PATH."""
        ...

    def find(self, target: Target) -> Compiler:
        """The compiler.

        Raises:
            MissingToolError: it is not installed; the command that installs it is named.
        """
        ...
