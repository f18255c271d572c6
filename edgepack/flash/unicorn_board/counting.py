"""Counts executed instructions exactly: one callback for each basic block, none for instructions.

QEMU's `-icount` counts every instruction of a block that is entered: conditional ones inside an IT
block count whether their condition holds or not, and so does IT itself. The same is done here, so
the two agree to the instruction.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

_UC_HOOK_BLOCK = 8  # unicorn.h, uc_hook_type
# Two of the four arguments that unicorn passes; the calling conventions of x86-64 and AArch64 hand
# the first ones over in registers, and each one less saves time.
_BLOCK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32)
# The first five bits of a halfword that begins a 32-bit instruction: ARM DDI 0403, A5.1.
_WIDE = 0x1D


def hook_nothing(uc: Any, kind: int, first: int, last: int) -> None:
    """A hook on the addresses first..last whose presence is all that is wanted.

    Its callback is a C function without arguments and without effect, which costs next to nothing,
    where one of Python would take most of the time of an access.
    """
    nothing = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p)
    _add(uc, kind, nothing, first, last)


def _add(uc: Any, kind: int, callback: ctypes.c_void_p, first: int, last: int) -> None:
    """unicorn's own hook function; `first` > `last` means all addresses."""
    from unicorn.unicorn_py3 import unicorn as binding

    status = binding.uclib.uc_hook_add(
        uc._uch,
        ctypes.byref(ctypes.c_size_t()),
        kind,
        callback,
        ctypes.c_void_p(),
        ctypes.c_uint64(first),
        ctypes.c_uint64(last),
    )
    if status != 0:
        raise RuntimeError(f"unicorn refused a hook: error {status}")


class Counter:
    """Instructions executed since the board was switched on.

    unicorn calls `_entered` at the start of each block. At `limit` instructions the emulation is
    stopped before the next block, so that the board can look after its surroundings.
    """

    def __init__(self, uc: Any, read: Callable[[int, int], bytes]) -> None:
        self._uc = uc
        self._read = read
        self._inside: dict[int, dict[int, int]] = {}
        self._hook()

    def _hook(self) -> None:
        counts: dict[int, int] = {}
        total, limit, block = 0, 0, 0
        stop = self._uc.emu_stop

        def entered(_: int, address: int, size: int) -> None:
            nonlocal total, block
            if total >= limit:
                stop()
                return
            block = address
            try:
                total += counts[address]
            except KeyError:
                counts[address] = self._learn(address, size)
                total += counts[address]

        def get() -> tuple[int, int]:
            return total, block

        def set_limit(value: int) -> None:
            nonlocal limit
            limit = value

        self._callback = _BLOCK(entered)  # kept, or it would be collected
        _add(self._uc, _UC_HOOK_BLOCK, ctypes.cast(self._callback, ctypes.c_void_p), 1, 0)
        self._get, self.set_limit = get, set_limit
        self._counts = counts

    def _learn(self, address: int, size: int) -> int:
        """Decode a block: how many instructions it has, and where each begins."""
        code = self._read(address, size)
        starts: dict[int, int] = {}
        at = 0
        while at < size:
            starts[address + at] = len(starts)
            at += 4 if code[at + 1] >> 3 >= _WIDE else 2
        self._inside[address] = starts
        return len(starts)

    @property
    def total(self) -> int:
        """Instructions of all blocks that were entered."""
        return self._get()[0]

    def at(self, pc: int) -> int:
        """Instructions up to the one at `pc`, without it; `pc` lies in the block that runs."""
        total, block = self._get()
        starts = self._inside.get(block)
        if starts is None or pc not in starts:
            return total
        return total - len(starts) + starts[pc]
