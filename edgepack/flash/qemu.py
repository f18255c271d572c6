"""An emulated board: nothing is written; the emulator loads the ELF file when a run starts it."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.errors import EdgepackError
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.emulator import QEMU, choose_emulator, qemu_command, unicorn_command
from edgepack.toolchain import check_fit, check_image, read_image

_CAPABILITIES = Capabilities(formats=("elf",), verifies=False, resets=True, needs_hardware=False)

_DESCRIPTOR = 3  # of the listening socket that a run opens


@dataclass(frozen=True)
class QemuFlash:
    """Checks that the image fits and could start, because the emulator would run it regardless."""

    name: str = "qemu"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "sudo apt-get install qemu-system-arm qemu-system-misc"
    options: type[Options] = Options

    def missing(self, request: FlashRequest) -> str | None:
        emulator = request.target.board.emulator
        if emulator is None:
            return f"{request.target.id} is not an emulated board"
        try:
            choose_emulator(request.target)
        except EdgepackError as error:
            return f"{error.message}: {error.next_step}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        if choose_emulator(request.target).name == QEMU:
            return qemu_command(request.target, request.image, "pty,id=ep")
        return unicorn_command(request.target, request.image, _DESCRIPTOR)

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
        emulator = choose_emulator(request.target)
        return FlashOutcome(
            tool=self.name,
            command=self.command(request),
            summary=f"{request.image.name} is sound; {emulator.name} loads it when a run starts",
        )
