"""st-flash of the stlink project: flashes STM32 chips over an ST-Link.

Command line: stlink 1.7, `st-flash --help`. It compares each page after writing it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgepack import runner
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.files import first_address, flash_file
from edgepack.flash.program import Hint, run_tool


class StlinkOptions(Options):
    """`connect_under_reset` for firmware that switches the debug pins off."""

    connect_under_reset: bool = False


_CAPABILITIES = Capabilities(
    formats=("bin",),
    verifies=True,
    resets=True,
    needs_hardware=True,
    erases=True,
    selects_by="the ST-Link's serial number",
)
_HINTS = (
    Hint(
        r"couldn't find any ST-Link|no ST-Link|could not find",
        "no ST-Link is connected",
        "plug in the board's ST-Link connector; st-info --probe shows what is there",
    ),
    Hint(
        r"verification of flash failed|verify.*mismatch|flash memory.*not equal",
        "what was read back differs from what was written",
        "run it again; if it repeats, the flash is worn or the supply too weak",
    ),
    Hint(
        r"read.?out protect|RDP|flash.*is locked|WRPRTERR|write.?protect",
        "the chip is locked against reading or writing",
        "set the read-out protection to level 0, which erases it: "
        "st-flash --area=option write 0xAA (or STM32CubeProgrammer)",
    ),
    Hint(
        r"unknown chip id|failed to connect to target|failed to parse flash type|GET_STATUS",
        "the ST-Link is there, but the chip does not answer",
        "check its power, or hold reset while the command starts",
    ),
)


@dataclass(frozen=True)
class StlinkFlash:
    """Runs `st-flash write`."""

    name: str = "stlink"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "sudo apt-get install stlink-tools"
    options: type[Options] = StlinkOptions

    def missing(self, request: FlashRequest) -> str | None:
        if runner.which("st-flash") is None:
            return f"st-flash is not installed: {self.install}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        options = StlinkOptions.model_validate(request.options)
        return (
            "st-flash",
            "--reset",
            *(("--connect-under-reset",) if options.connect_under_reset else ()),
            *(("--serial", request.probe) if request.probe else ()),
            "--format",
            "binary",
            "write",
            str(flash_file(request, "bin")),
            f"0x{first_address(request):08x}",
        )

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Write, compare and reset.

        Raises:
            FlashError: no ST-Link, no answer from the chip, or a failed comparison.
            MissingToolError: st-flash is not installed.
        """
        outcome = run_tool(
            self.name,
            self.command(request),
            request,
            hints=_HINTS,
            must_say=r"Flash written and verified! jolly good!",
        )
        return replace(outcome, verified=True)
