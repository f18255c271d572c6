"""The toolchains, in the order in which they are tried."""

from __future__ import annotations

from edgepack.errors import ConfigError, MissingToolError
from edgepack.targets import Target
from edgepack.toolchain.base import Compiler, Toolchain
from edgepack.toolchain.clang import Clang
from edgepack.toolchain.esp_idf import EspIdf
from edgepack.toolchain.gcc import Gcc
from edgepack.toolchain.hostcc import HostCc
from edgepack.toolchain.zig import Zig

TOOLCHAINS: tuple[Toolchain, ...] = (Gcc(), Clang(), Zig(), HostCc(), EspIdf())
AUTO = "auto"


def find_compiler(target: Target, name: str | None = None) -> Compiler:
    """The compiler for a target: the one of that name, else the first installed one.

    Args:
        name: of a toolchain; None or `auto` for the first one in the table that is installed.

    Raises:
        ConfigError: the target's record knows no such toolchain.
        MissingToolError: none is installed; how to install each is named.
    """
    wanted = None if name == AUTO else name
    usable = [t for t in TOOLCHAINS if t.supports(target) and wanted in (None, t.name)]
    if not usable:
        raise ConfigError(
            f"target {target.id} cannot be built with {wanted or 'any known toolchain'}",
            allowed=", ".join(t.name for t in TOOLCHAINS if t.supports(target)) or None,
            next_step=f"edgepack targets {target.id}",
        )
    chosen = next((t for t in usable if t.installed(target)), None)
    if chosen is None and len(usable) > 1:
        raise MissingToolError(
            f"no compiler for {target.id} is installed (looked for "
            f"{', '.join(t.name for t in usable)})",
            allowed="one of them:\n"
            + "\n".join(f"  {t.name}: {t.install(target)}" for t in usable),
            next_step=usable[0].install(target),
        )
    return (chosen or usable[0]).find(target)
