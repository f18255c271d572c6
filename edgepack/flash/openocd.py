"""OpenOCD: flashes over a debug probe, driven by its own configuration files.

Command line: OpenOCD User's Guide 0.12, chapter 12.2 (program) and 8.1 (adapter serial).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgepack import runner
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.program import Hint, run_tool


class OpenocdOptions(Options):
    """`config` are OpenOCD's configuration files, `commands` run after them, before `init`."""

    config: tuple[str, ...]
    commands: tuple[str, ...] = ()


_CAPABILITIES = Capabilities(
    formats=("elf",),
    verifies=True,
    resets=True,
    needs_hardware=True,
    erases=True,
    selects_by="the probe's serial number",
)
_HINTS = (
    Hint(
        r"verify failed|checksum mismatch|\*\* Verify Failed",
        "what was read back differs from what was written",
        "run it again; if it repeats, the flash is worn or the supply too weak",
    ),
    Hint(
        r"can't find \S+\.cfg",
        "OpenOCD lacks a configuration file that the board's record names",
        "install a newer OpenOCD, or use another tool: edgepack flash DIR --tool TOOL",
    ),
    Hint(
        r"LIBUSB_ERROR_ACCESS",
        "this user may not open the debug probe",
        "reload the udev rules that OpenOCD brought: sudo udevadm control --reload, then replug",
    ),
    Hint(
        r"readout protect|is protected|flash is locked|device is locked|AP locked|APPROTECT",
        "the chip is locked against reading or writing",
        "unlock it in OpenOCD, which erases it: for STM32 stm32l4x unlock 0 (or f2x, h7x), "
        "for nRF52 nrf52_recover",
    ),
    Hint(
        r"init mode failed|cannot connect to (target|device)|unable to connect to the target"
        r"|examination failed|target voltage may be too low",
        "the debug probe is there, but the chip does not answer",
        "check its power, or hold reset while the command starts",
    ),
    Hint(
        r"error: open failed|unable to open \S+ device|no device found|unable to find .*device"
        r"|no \S+ adapter found|unable to find a matching",
        "no debug probe is connected",
        "plug in the board's debug connector; with several boards add --probe SERIAL",
    ),
)


@dataclass(frozen=True)
class OpenocdFlash:
    """Runs `openocd -c "program ..."`."""

    name: str = "openocd"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "sudo apt-get install openocd"
    options: type[Options] = OpenocdOptions

    def missing(self, request: FlashRequest) -> str | None:
        if runner.which("openocd") is None:
            return f"openocd is not installed: {self.install}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        options = OpenocdOptions.model_validate(request.options)
        serial = (f"adapter serial {_tcl(request.probe)}",) if request.probe else ()
        program = f"program {_tcl(str(request.image))} verify reset exit"
        return (
            "openocd",
            *(word for file in options.config for word in ("-f", file)),
            *(word for line in (*serial, *options.commands, program) for word in ("-c", line)),
        )

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Write, compare and reset.

        Raises:
            FlashError: no probe, no answer from the chip, or a failed comparison.
            MissingToolError: OpenOCD is not installed.
        """
        outcome = run_tool(
            self.name,
            self.command(request),
            request,
            hints=_HINTS,
            must_say=r"\*\* Verified OK \*\*",
        )
        return replace(outcome, verified=True)


def _tcl(word: str) -> str:
    """A word of OpenOCD's command language; braces keep spaces and backslashes as they are."""
    return "{" + word + "}"
