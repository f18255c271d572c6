"""The toolchains, in the order in which they are tried."""

from __future__ import annotations

from edgepack.errors import ConfigError
from edgepack.targets import Target
from edgepack.toolchain.base import Compiler, Toolchain
from edgepack.toolchain.gcc import Gcc
from edgepack.toolchain.hostcc import HostCc

TOOLCHAINS: tuple[Toolchain, ...] = (Gcc(), HostCc())


def find_compiler(target: Target, name: str | None = None) -> Compiler:
    """The compiler for a target: the one of that name, else the first installed one.

    Raises:
        ConfigError: the target's record knows no such toolchain.
        MissingToolError: none is installed; how to install the first is named.
    """
    usable = [t for t in TOOLCHAINS if t.supports(target) and name in (None, t.name)]
    if not usable:
        raise ConfigError(
            f"target {target.id} cannot be built with {name or 'any known toolchain'}",
            allowed=", ".join(t.name for t in TOOLCHAINS if t.supports(target)) or None,
            next_step=f"edgepack targets {target.id}",
        )
    chosen = next((t for t in usable if t.installed(target)), usable[0])
    return chosen.find(target)
