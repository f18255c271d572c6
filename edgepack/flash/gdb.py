"""gdb: loads the image through any gdbserver (OpenOCD, pyOCD, J-Link, Black Magic, QEMU).

Commands: Debugging with GDB, 20.1 (target extended-remote), 20.2 (load), 20.3 (compare-sections).
gdb's batch mode ends with exit code 0 whatever happened, so that its words decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgepack import runner
from edgepack.flash.base import Capabilities, FlashOutcome, FlashRequest, Options
from edgepack.flash.program import Hint, run_tool

_PROGRAMS = ("gdb-multiarch", "arm-none-eabi-gdb", "riscv64-unknown-elf-gdb")


class GdbOptions(Options):
    """`remote` is where the gdbserver listens; `before` and `after` are more gdb commands.

    `after` brings the new image to life, such as `monitor reset` for OpenOCD and pyOCD.
    """

    remote: str = "localhost:3333"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ("monitor reset",)


_CAPABILITIES = Capabilities(
    formats=("elf",),
    verifies=True,
    resets=True,
    needs_hardware=True,
    erases=True,
    selects_by="HOST:PORT of the gdbserver",
)
_HINTS = (
    Hint(
        r"MIS-MATCHED",
        "what was read back differs from what was written",
        "run it again; the memory may be ROM to this gdbserver",
    ),
    Hint(
        r"connection refused|connection timed out|could not connect|unknown host",
        "no gdbserver listens there",
        "start one (openocd -f BOARD.cfg, or pyocd gdbserver), or name it: --probe HOST:PORT",
    ),
    Hint(
        r"load failed|error erasing flash|error (finishing|writing) flash|memory at 0x\S+ cannot",
        "the gdbserver could not write the flash",
        "see what it printed; the chip may be locked",
    ),
    Hint(
        r"architecture .* unknown|no symbol table|exec format|not in executable format",
        "this gdb does not know the architecture",
        "sudo apt-get install gdb-multiarch",
    ),
)


@dataclass(frozen=True)
class GdbFlash:
    """Runs `gdb -batch` with load and compare-sections."""

    name: str = "gdb"
    capabilities: Capabilities = _CAPABILITIES
    install: str = "sudo apt-get install gdb-multiarch"
    options: type[Options] = GdbOptions

    def missing(self, request: FlashRequest) -> str | None:
        if _program() is None:
            return f"none of {', '.join(_PROGRAMS)} is installed: {self.install}"
        return None

    def command(self, request: FlashRequest) -> tuple[str, ...]:
        options = GdbOptions.model_validate(request.options)
        remote = request.probe or options.remote
        lines = (
            "set confirm off",
            "set pagination off",
            "set remotetimeout 10",
            "set tcp connect-timeout 3",
            f"target extended-remote {remote}",
            *options.before,
            "load",
            # -r: without it gdb also compares .bss and the like, which load does not write
            "compare-sections -r",
            *options.after,
            "detach",
        )
        return (
            _program() or _PROGRAMS[0],
            "-nx",
            "-batch",
            *(word for line in lines for word in ("-ex", line)),
            str(request.image),
        )

    def flash(self, request: FlashRequest) -> FlashOutcome:
        """Write, compare and start.

        Raises:
            FlashError: nobody listens, the memory cannot be written, or a failed comparison.
            MissingToolError: gdb is not installed.
        """
        outcome = run_tool(
            self.name,
            self.command(request),
            request,
            hints=_HINTS,
            must_say=r"^Transfer rate:[\s\S]*: matched\.",
            must_not_say=r"MIS-MATCHED|^load failed",
        )
        return replace(outcome, verified=True)


def _program() -> str | None:
    return next((name for name in _PROGRAMS if runner.which(name) is not None), None)
