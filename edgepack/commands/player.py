"""The option that chooses what plays an emulated board."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Player(StrEnum):
    """What plays an emulated board."""

    AUTO = "auto"
    QEMU = "qemu"
    UNICORN = "unicorn"


PlayerOption = Annotated[
    Player | None,
    typer.Option(
        "--emulator",
        help="What plays an emulated board: QEMU, or unicorn, which pip installs without root "
        "rights (docs/toolchains.md); auto takes QEMU where it is installed. By default what "
        "edgepack.toml says, else auto.",
        show_default=False,
    ),
]
