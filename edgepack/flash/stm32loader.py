"""stm32loader: flashes STM32 chips through the boot loader in their ROM, over a UART.

Protocol: ST AN3155, USART protocol used in the STM32 bootloader; AN2606 says which pins. Command
line: stm32loader 0.7, `stm32loader --help`. RTS and DTR may drive BOOT0 and reset; otherwise the
user sets BOOT0 and presses reset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgepack.errors import UsageError
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.files import first_address, flash_file
from edgepack.flash.program import Hint, python_tool, run_tool


class Stm32loaderOptions(Options):
    """How the chip's ROM is reached; `family` is stm32loader's name of it, such as F4.

    The whole flash is erased: AN3155 counts pages, and their sizes differ from chip to chip.
    """

    family: str | None = None
    baud: int = 115_200
    swap_rts_dtr: bool = False
    reset_active_high: bool = False
    boot0_active_low: bool = False


_CAPABILITIES = Capabilities(
    formats=("bin",), verifies=True, resets=True, needs_hardware=True, erases=True, needs_port=True
)
_HINTS = (
    Hint(
        r"verification failed",
        "what was read back differs from what was written",
        "run it again with a shorter cable or a lower rate (options.baud)",
    ),
    Hint(
        r"readout protection|--unprotect",
        "the chip is locked against reading and writing",
        "unlock it, which erases it: stm32loader --unprotect --port PORT",
    ),
    Hint(
        r"can't init into bootloader|BOOT0 is enabled|ack_wait|no response",
        "the boot loader in the chip's ROM does not answer",
        "set BOOT0 to 1 and press reset, then run the command again",
    ),
    Hint(
        r"NACK|command error|failed",
        "the boot loader refused a command",
        "press reset with BOOT0 at 1, then run the command again",
    ),
)


@dataclass(frozen=True)
class Stm32loaderFlash:
    """Runs `stm32loader --erase --write --verify`."""

    name: str = "stm32loader"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "pip install 'edgepack[flash]'"
    options: type[Options] = Stm32loaderOptions

    def missing(self, request: FlashRequest) -> str | None:
        if python_tool("stm32loader", "stm32loader") is None:
            return f"stm32loader is not installed: {self.install}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        options = Stm32loaderOptions.model_validate(request.options)
        if request.port is None or "://" in request.port:
            raise UsageError(
                "stm32loader flashes over a serial port of this computer, "
                + ("and none is named" if request.port is None else f"not {request.port}"),
                next_step="edgepack flash DIR --port PORT (edgepack devices lists the ports)",
            )
        address = f"0x{first_address(request):08x}"
        flags = {
            "--swap-rts-dtr": options.swap_rts_dtr,
            "--reset-active-high": options.reset_active_high,
            "--boot0-active-low": options.boot0_active_low,
        }
        return (
            *(python_tool("stm32loader", "stm32loader") or ("stm32loader",)),
            "--port",
            request.port,
            "--baud",
            str(options.baud),
            *(("--family", options.family) if options.family else ()),
            *(flag for flag, wanted in flags.items() if wanted),
            "--erase",
            "--write",
            "--verify",
            "--address",
            address,
            "--go-address",
            address,
            str(flash_file(request, "bin")),
        )

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Erase all, write, compare and start.

        Raises:
            FlashError: no answer, a locked chip, or a failed comparison.
            MissingToolError: stm32loader is not installed.
            UsageError: no port is named, or one of another computer.
        """
        outcome = run_tool(
            self.name,
            self.command(request),
            request,
            hints=_HINTS,
            timeout=600.0,
            must_say=r"Verification OK",
        )
        return replace(outcome, verified=True)
