"""An emulated board: nothing is written; QEMU loads the ELF file when a run starts it."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack import runner
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.emulator import install_command, qemu_command, qemu_program
from edgepack.toolchain import check_fit, check_image, read_image

_CAPABILITIES = Capabilities(formats=("elf",), verifies=False, resets=True, needs_hardware=False)


@dataclass(frozen=True)
class QemuFlash:
    """Checks that the image fits and could start, because QEMU itself would run it regardless."""

    name: str = "qemu"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "sudo apt-get install qemu-system-arm qemu-system-misc"
    options: type[Options] = Options

    def missing(self, request: FlashRequest) -> str | None:
        emulator = request.target.board.emulator
        if emulator is None:
            return f"{request.target.id} is not an emulated board"
        if runner.which(emulator.program) is None:
            return f"{emulator.program} is not installed: {install_command(emulator.program)}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        return qemu_command(request.target, request.image, "pty,id=ep")

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Check the image.

        Raises:
            FitError: it is larger than the board's memory.
            BuildError: it could not start.
            MissingToolError: the emulator is not installed.
        """
        image = read_image(request.image)
        check_fit(image, request.target)
        check_image(image, request.target)
        program = qemu_program(request.target)
        return FlashOutcome(
            tool=self.name,
            command=self.command(request),
            summary=f"{request.image.name} is sound; {program} loads it when a run starts",
        )
