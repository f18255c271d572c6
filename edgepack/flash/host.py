"""The host target: the image is a program of this computer, started by each run."""

from __future__ import annotations

import os
from dataclasses import dataclass

from edgepack.errors import FlashError
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options

_CAPABILITIES = Capabilities(formats=("elf",), verifies=False, resets=True, needs_hardware=False)


@dataclass(frozen=True)
class HostFlash:
    """Checks that the program is there and may be executed."""

    name: str = "host"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "sudo apt-get install gcc"
    options: type[Options] = Options

    def missing(self, request: FlashRequest) -> str | None:
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        return (str(request.image), "--port", "0")

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Check the program.

        Raises:
            FlashError: it may not be executed.
        """
        if not os.access(request.image, os.X_OK):
            raise FlashError(
                f"{request.image} may not be executed", next_step=f"chmod +x {request.image}"
            )
        return FlashOutcome(
            tool=self.name,
            command=self.command(request),
            summary=f"{request.image.name} is a program of this computer; each run starts it",
        )
