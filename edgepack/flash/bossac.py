"""bossac: flashes SAM chips whose boot loader speaks SAM-BA over USB serial (Arduino, Adafruit).

Command line: BOSSA 1.9.1, `bossac --help`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from edgepack import runner
from edgepack.errors import UsageError
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.files import flash_file
from edgepack.flash.program import Hint, run_tool
from edgepack.flash.touch import boot_loader_port, port_names, touch


class BossacOptions(Options):
    """`offset` is the size of the boot loader, behind which the image lies, in bytes."""

    offset: int
    touch: bool = True


_CAPABILITIES = Capabilities(
    formats=("bin",),
    verifies=True,
    resets=True,
    needs_hardware=True,
    erases=True,
    needs_port=True,
    port_is_firmwares=False,
)
_HINTS = (
    Hint(
        r"verify failed|(page|byte) errors: [1-9]",
        "what was read back differs from what was written",
        "run it again; if it repeats, the flash is worn",
    ),
    Hint(
        r"page is locked|security .*set|lock",
        "the chip is locked",
        "bossac --port PORT --unlock (or erase it with a debug probe)",
    ),
    Hint(
        r"device unsupported",
        "this bossac does not know the chip",
        "for the nRF52840 put Arduino's own on PATH: arduino-cli core install arduino:mbed_nano",
    ),
    Hint(
        r"no device found|SAM-BA operation failed",
        "no SAM-BA boot loader answers on the port",
        "press reset twice so that the boot loader's LED breathes, then: edgepack devices",
    ),
)


@dataclass(frozen=True)
class BossacFlash:
    """Touches the port, then runs `bossac --write`."""

    name: str = "bossac"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "sudo apt-get install bossa-cli"
    options: type[Options] = BossacOptions
    names: Callable[[], frozenset[str]] = port_names
    wait: float = 8.0

    def missing(self, request: FlashRequest) -> str | None:
        if runner.which("bossac") is None:
            return f"bossac is not installed: {self.install}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        return _command(request, _port(request))

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Start the boot loader, write, compare and reset.

        Raises:
            FlashError: no boot loader answers, or a failed comparison.
            MissingToolError: bossac is not installed.
            UsageError: no port is named.
        """
        port = _port(request)
        if BossacOptions.model_validate(request.options).touch:
            request.progress(self.name, None, f"1200-baud touch of {port}")
            before = self.names()
            touch(port)
            port = boot_loader_port(port, before, names=self.names, timeout=self.wait)
        outcome = run_tool(
            self.name,
            _command(request, port),
            request,
            hints=_HINTS,
            must_say=r"Verify successful",
        )
        return replace(outcome, verified=True)


def _port(request: FlashRequest) -> str:
    if request.port is None or "://" in request.port:
        raise UsageError(
            "bossac flashes over a serial port of this computer, "
            + ("and none is named" if request.port is None else f"not {request.port}"),
            next_step="edgepack flash DIR --port PORT (edgepack devices lists the ports)",
        )
    return request.port


def _command(request: FlashRequest, port: str) -> tuple[str, ...]:
    options = BossacOptions.model_validate(request.options)
    return (
        "bossac",
        # bossac itself puts /dev/ in front
        f"--port={port if sys.platform == 'win32' else PurePosixPath(port).name}",
        "--usb-port=1",
        f"--offset=0x{options.offset:x}",
        "--erase",
        "--write",
        "--verify",
        "--reset",
        str(flash_file(request, "bin")),
    )
