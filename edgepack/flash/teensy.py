"""teensy_loader_cli: flashes Teensy boards through HalfKay, their boot loader.

Command line: Teensy Loader, Command Line, 2.2, `teensy_loader_cli --help`. HalfKay cannot be read,
so nothing is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepack import runner
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.files import flash_file
from edgepack.flash.program import Hint, run_tool

_BUTTON_SECONDS = 60.0


class TeensyOptions(Options):
    """`mcu` is teensy_loader_cli's name of the board, such as TEENSY41."""

    mcu: str


_CAPABILITIES = Capabilities(
    formats=("hex",), verifies=False, resets=True, needs_hardware=True, erases=True
)
_HINTS = (
    Hint(
        r"check USB permissions|found device but unable to open",
        "this user may not open the Teensy",
        "install PJRC's udev rules: https://www.pjrc.com/teensy/00-teensy.rules",
    ),
    Hint(
        r"unknown MCU|--mcu=<MCU>",
        "this teensy_loader_cli does not know the board",
        "install a newer one, or name what it knows: teensy_loader_cli --list-mcus",
    ),
    Hint(
        r"waiting for teensy|unable to open device",
        "no Teensy waits in its boot loader",
        "press the button on the Teensy, then run the command again",
    ),
    Hint(
        r"error writing to teensy",
        "the Teensy stopped taking the image",
        "press its button and run the command again",
    ),
)


@dataclass(frozen=True)
class TeensyFlash:
    """Runs `teensy_loader_cli -w`, which waits for the button. `wait` is in seconds."""

    name: str = "teensy"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "sudo apt-get install teensy-loader-cli"
    options: type[Options] = TeensyOptions
    wait: float = _BUTTON_SECONDS

    def missing(self, request: FlashRequest) -> str | None:
        if runner.which("teensy_loader_cli") is None:
            return f"teensy_loader_cli is not installed: {self.install}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        options = TeensyOptions.model_validate(request.options)
        image = flash_file(request, "hex")
        return ("teensy_loader_cli", f"--mcu={options.mcu}", "-w", "-v", str(image))

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Wait for the button, write and start.

        Raises:
            FlashError: nobody pressed the button, or the board stopped taking the image.
            MissingToolError: teensy_loader_cli is not installed.
        """
        request.progress(self.name, None, "press the button on the Teensy")
        return run_tool(
            self.name,
            self.command(request),
            request,
            hints=_HINTS,
            timeout=self.wait,
            must_say=r"^Booting",
        )
