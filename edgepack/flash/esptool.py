"""esptool: flashes ESP32 chips over their serial port or USB serial.

Command line: esptool 5.6, `esptool write-flash --help`. The chip computes the MD5 of what it wrote
and esptool compares it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from edgepack.errors import FlashError, UsageError
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.files import first_address, flash_file
from edgepack.flash.program import Hint, package_version, python_tool, run_tool

_OLDEST = (5, 0)  # renamed its commands from write_flash to write-flash


class EsptoolOptions(Options):
    """What is written where.

    `flasher_args` is the JSON file in which ESP-IDF says so, relative to the project. Without it
    the image's raw binary goes to `offset` in flash (by default the image's first address).
    """

    chip: str
    baud: int = 460_800
    flasher_args: str | None = None
    offset: int | None = None
    stub: bool = True


_CAPABILITIES = Capabilities(
    formats=("bin",), verifies=True, resets=True, needs_hardware=True, erases=True, needs_port=True
)
_HINTS = (
    Hint(
        r"this chip is (\S+),? not|wrong --chip argument|unexpected chip id",
        "the chip on this port is another one",
        "edgepack devices, then --port of the right board",
    ),
    Hint(
        r"secure download mode|flash encryption|secure boot",
        "the chip is locked: secure boot or flash encryption is on",
        "use a chip whose eFuses are not burnt; this cannot be undone",
    ),
    Hint(
        r"MD5 of file does not match|verification failed|hash of data .*not",
        "what was read back differs from what was written",
        "run it again with a lower rate in the board's record (options.baud)",
    ),
    Hint(
        r"no serial data received|wrong boot mode|failed to connect|timed out waiting for packet"
        r"|invalid head of packet",
        "the chip does not answer: it is not in download mode",
        "hold BOOT, press RESET, release BOOT, then run the command again",
    ),
)


@dataclass(frozen=True)
class EsptoolFlash:
    """Runs `esptool write-flash`."""

    name: str = "esptool"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "pip install 'edgepack[flash]'"
    options: type[Options] = EsptoolOptions

    def missing(self, request: FlashRequest) -> str | None:
        program = python_tool("esptool", "esptool")
        if program is None:
            return f"esptool is not installed: {self.install}"
        version = package_version("esptool") if len(program) > 1 else None
        if version is not None and version < _OLDEST:
            return f"esptool {'.'.join(map(str, version))} is too old: {self.install}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        options = EsptoolOptions.model_validate(request.options)
        if request.port is None:
            raise UsageError(
                "esptool flashes over the serial port, and none is named",
                next_step="edgepack flash DIR --port PORT (edgepack devices lists the ports)",
            )
        return (
            *(python_tool("esptool", "esptool") or ("esptool",)),
            "--chip",
            options.chip,
            "--port",
            request.port,
            "--baud",
            str(options.baud),
            *(() if options.stub else ("--no-stub",)),
            "write-flash",
            *_what(request, options),
        )

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Write, compare and reset.

        Raises:
            FlashError: no answer, another chip, or a failed comparison.
            MissingToolError: esptool is not installed.
            UsageError: no port is named.
        """
        outcome = run_tool(
            self.name,
            self.command(request),
            request,
            hints=_HINTS,
            timeout=600.0,
            must_say=r"hash of data verified",
        )
        return replace(outcome, verified=True)


def _what(request: FlashRequest, options: EsptoolOptions) -> tuple[str, ...]:
    """Settings of the flash chip, then address and file of each part."""
    if options.flasher_args is None:
        offset = first_address(request) if options.offset is None else options.offset
        return (f"0x{offset:x}", str(flash_file(request, "bin")))
    path = request.project / options.flasher_args
    try:
        said = json.loads(path.read_text("utf-8"))
        settings = [str(word) for word in said["write_flash_args"]]
        files = {int(at, 16): Path(name) for at, name in said["flash_files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FlashError(
            f"{path} does not say what to flash where: {error!r}",
            allowed="the flasher_args.json that `idf.py build` writes",
            next_step=f"build it: idf.py -C {path.parent.parent} build",
        ) from error
    # ESP-IDF writes the options of esptool 4
    settings = [word.replace("_", "-") if word.startswith("--") else word for word in settings]
    pairs = ((f"0x{at:x}", str(path.parent / name)) for at, name in sorted(files.items()))
    return (*settings, *(word for pair in pairs for word in pair))
