"""The core's registers, without the detours of unicorn's own Python functions.

An interrupt reads and writes some thirty of them, and one comes with each byte of a sample: through
`Uc.reg_read` they would take most of the time of a transfer.
"""

from __future__ import annotations

import ctypes
from typing import Any


class Registers:
    """32-bit registers, and 64-bit ones (D0 and up), by unicorn's numbers."""

    def __init__(self, uc: Any) -> None:
        from unicorn.unicorn_py3 import unicorn as binding

        self._handle = uc._uch
        self._value = ctypes.c_uint64()
        self._pointer = ctypes.byref(self._value)
        self._uc_read = binding.uclib.uc_reg_read
        self._uc_write = binding.uclib.uc_reg_write

    def read(self, number: int) -> int:
        """The value of a register."""
        self._value.value = 0
        self._uc_read(self._handle, number, self._pointer)
        return self._value.value

    def write(self, number: int, value: int) -> None:
        """Set a register."""
        self._value.value = value
        self._uc_write(self._handle, number, self._pointer)
