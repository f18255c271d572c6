"""The core's registers, without the detours of unicorn's own Python functions.

An interrupt reads and writes some thirty of them, and one comes with each byte of a sample: through
`Uc.reg_read` they would take most of the time of a transfer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any


class Registers:
    """Single registers of 32 bits, by unicorn's numbers."""

    def __init__(self, uc: Any) -> None:
        from unicorn.unicorn_py3 import unicorn as binding

        self._handle = uc._uch
        self._value = ctypes.c_uint32()
        self._pointer = ctypes.byref(self._value)
        self._uc_read = binding.uclib.uc_reg_read
        self._uc_write = binding.uclib.uc_reg_write

    def read(self, number: int) -> int:
        """The value of a register."""
        self._uc_read(self._handle, number, self._pointer)
        return self._value.value

    def write(self, number: int, value: int) -> None:
        """Set a register."""
        self._value.value = value
        self._uc_write(self._handle, number, self._pointer)


class RegisterSet:
    """Several registers of up to 64 bits that are read and written together, by one call."""

    def __init__(self, uc: Any, numbers: Sequence[int]) -> None:
        from unicorn.unicorn_py3 import unicorn as binding

        count = len(numbers)
        self._handle = uc._uch
        self._numbers = (ctypes.c_int * count)(*numbers)
        self._values = (ctypes.c_uint64 * count)()
        first, size = ctypes.addressof(self._values), ctypes.sizeof(ctypes.c_uint64)
        places = [first + size * i for i in range(count)]
        self._pointers = (ctypes.c_void_p * count)(*places)
        self._count = ctypes.c_int(count)
        self._uc_read = binding.uclib.uc_reg_read_batch
        self._uc_write = binding.uclib.uc_reg_write_batch

    def read(self) -> list[int]:
        """The values, in the order of the numbers."""
        self._uc_read(self._handle, self._numbers, self._pointers, self._count)
        return self._values[:]

    def write(self, values: Sequence[int]) -> None:
        """Set them all."""
        self._values[:] = list(values)
        self._uc_write(self._handle, self._numbers, self._pointers, self._count)
