"""The only place that knows where `targets/`, `templates/` and `firmware/` are.

In a checkout they lie beside the package; in an installed wheel they are packaged as
`edgepack/_data/<name>`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edgepack.errors import EdgepackError

_PACKAGE = Path(__file__).resolve().parent


@cache
def resource_dir(name: str) -> Path:
    """The directory of one kind of resource.

    Args:
        name: `targets`, `templates` or `firmware`.

    Raises:
        EdgepackError: the installation lacks the directory.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise EdgepackError(
        f"this edgepack installation has no {name}/ directory (looked beside {_PACKAGE})",
        next_step="pip install --force-reinstall edgepack",
    )


def targets_dir() -> Path:
    """`targets/`: soc, board and phone records in TOML."""
    return resource_dir("targets")


def templates_dir() -> Path:
    """`templates/`: Jinja2 templates of everything that is generated."""
    return resource_dir("templates")


def firmware_dir() -> Path:
    """`firmware/`: C99 kernels, runtime, ports and the benchmark program."""
    return resource_dir("firmware")
