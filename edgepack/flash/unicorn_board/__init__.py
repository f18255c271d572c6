"""Boards without QEMU and without root rights: the `unicorn` wheel runs the image of a project.

The child process (edgepack/flash/unicorn_board/__main__.py) models what the ports under
firmware/port use of a chip: serial port, timers, interrupt controller, reset, faults. Time is
counted in instructions, one nanosecond each, as with QEMU's `-icount shift=0`.
"""

from edgepack.flash.unicorn_board.supported import (
    runnable,
    unicorn_install,
    unicorn_version,
    why_not,
)

__all__ = ["runnable", "unicorn_install", "unicorn_version", "why_not"]
