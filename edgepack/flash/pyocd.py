"""pyOCD: flashes over a debug probe (CMSIS-DAP, ST-Link, J-Link, or one that is shared by TCP).

Command line: pyOCD 0.46, `pyocd commander --help` and its command `help`. `pyocd load` does not
read back what it wrote; the commander loads, compares and resets in one session.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote
from typing import Literal

from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.files import first_address, flash_file
from edgepack.flash.program import Hint, python_tool, run_tool


class PyocdOptions(Options):
    """`target` is pyOCD's name of the chip; `pack` that of the CMSIS pack which brings it."""

    target: str
    pack: str | None = None
    erase: Literal["auto", "chip", "sector"] = "sector"
    connect: Literal["halt", "pre-reset", "under-reset", "attach"] = "halt"
    frequency: str | None = None


_CAPABILITIES = Capabilities(
    formats=("bin",),
    verifies=True,
    resets=True,
    needs_hardware=True,
    erases=True,
    selects_by="the probe's serial number, or remote:HOST:PORT",
)


@dataclass(frozen=True)
class PyocdFlash:
    """Runs `pyocd load`."""

    name: str = "pyocd"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "pip install 'edgepack[flash]'"
    options: type[Options] = PyocdOptions

    def missing(self, request: FlashRequest) -> str | None:
        if python_tool("pyocd", "pyocd") is None:
            return f"pyOCD is not installed: {self.install}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        options = PyocdOptions.model_validate(request.options)
        # the raw binary: from an ELF file pyOCD leaves the gaps as they were, and no file says how
        raw = quote(str(flash_file(request, "bin")))
        start = f"0x{first_address(request):08x}"
        commands = (f"load {raw} {start}", f"compare {start} {raw}", "reset")
        return (
            *(python_tool("pyocd", "pyocd") or ("pyocd",)),
            "commander",
            "--no-wait",
            "--no-config",
            "--target",
            options.target,
            *(("--probe", request.probe) if request.probe else ()),
            *(("--frequency", options.frequency) if options.frequency else ()),
            "--connect",
            options.connect,
            "-O",
            f"chip_erase={options.erase}",
            *(word for command in commands for word in ("--command", command)),
        )

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Write, compare and reset.

        Raises:
            FlashError: no probe, a locked chip, an unknown target, or a failed page.
            MissingToolError: pyOCD is not installed.
        """
        options = PyocdOptions.model_validate(request.options)
        outcome = run_tool(
            self.name,
            self.command(request),
            request,
            hints=_hints(options),
            must_say=r"All \d+ bytes match",
            must_not_say=r"^Mismatched byte",
        )
        return replace(outcome, verified=True)


def _hints(options: PyocdOptions) -> tuple[Hint, ...]:
    pack = options.pack or options.target
    return (
        Hint(
            r"mismatched byte",
            "what was read back differs from what was written",
            "run it again; if it repeats, the flash is worn or the supply too weak",
        ),
        Hint(
            r"target type .* not recognized|unknown target type",
            f"pyOCD does not know the chip {options.target} yet",
            f"pyocd pack install {pack}",
        ),
        Hint(
            r"connection refused|name or service not known|timed out.*remote",
            "no probe server listens there",
            "start it where the probe is plugged in: pyocd server",
        ),
        Hint(
            r"no (connected|available) debug probe|no target device available|no probe",
            "no debug probe is connected",
            "plug in the board's debug connector; pyocd list shows what is there",
        ),
        Hint(
            r"multiple .*probes|which of the",
            "several debug probes are connected",
            "name one: --probe SERIAL (pyocd list)",
        ),
        Hint(
            r"APPROTECT|is locked|protected|unlock",
            "the chip is locked against debugging",
            f"erase it, with everything on it: pyocd erase --mass --target {options.target}",
        ),
        Hint(
            r"no ACK|SWD/JTAG communication failure|transfer fault|no cores",
            "the debug probe is there, but the chip does not answer",
            "check its power and the reset line, or hold reset while the command starts",
        ),
    )
