"""What a device of a chip looks like to the machine, and the simplest one."""

from __future__ import annotations

from typing import Protocol


class Device(Protocol):
    """A block of registers: offsets and 32-bit values.

    base: the address of its first register. size: bytes of address space.
    """

    base: int
    size: int

    def read(self, offset: int) -> int:
        """The value of a register."""
        ...

    def write(self, offset: int, value: int) -> None:
        """Set a register."""
        ...

    def reset(self) -> None:
        """As after power-on."""
        ...


class Clock(Protocol):
    """Virtual time: nanoseconds, which are instructions."""

    def __call__(self) -> int: ...
