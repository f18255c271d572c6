"""A Cortex-M core: unicorn executes instructions; exceptions, which it lacks, are made here.

ARMv7-M Architecture Reference Manual, ARM DDI 0403, B1.5: exception entry and return. What is left
out: priorities (a handler is never interrupted), handler mode of interrupts, lazy stacking.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from enum import Enum
from typing import Any

from edgepack.flash.unicorn_board.counting import Counter, hook_nothing
from edgepack.flash.unicorn_board.registers import Registers, RegisterSet
from edgepack.toolchain.elf import Image

# Where interrupt handlers return to: an address in executable space (ARM DDI 0403 B3.1) that no
# chip of edgepack has, in the role of EXC_RETURN.
_RETURN = 0x9FFF_F000
_PAGE = 0x1000
_HARD_FAULT = 3
_SVCALL = 11
_THUMB = 1 << 24
_ALIGNED = 1 << 9  # the stack was moved to a multiple of 8
_IT_STATE = 0x0600_FC00  # of xPSR: a handler may begin in the middle of an IT block
_FPCA = 1 << 2
_FRAME = struct.Struct("<8I")
_BASIC, _EXTENDED = 32, 104  # bytes of the two exception frames
# unicorn's numbers of exceptions (qemu/target/arm/cpu.h), and the bits that they set in CFSR
# (ARM DDI 0403 B3.2.15)
_SWI = 2
_CAUSES = {
    1: 1 << 16,  # undefined instruction
    3: 1 << 0,  # fetch from where nothing may be executed
    4: (1 << 9) | (1 << 15),
    7: 0,  # breakpoint
    17: 1 << 19,  # no such coprocessor
    18: 1 << 17,  # not Thumb
    19: 1 << 20,  # the stack limit
    20: 1 << 24,  # unaligned
}
_UNDEFINED = 1 << 16
_BUS_READ = (1 << 9) | (1 << 15)
_BUS_FETCH = 1 << 8


class Stop(Enum):
    """Why the core stopped."""

    LIMIT = "limit"  # the instructions it was given are used up
    SLEEP = "sleep"  # WFI
    RETURNED = "returned"  # from an interrupt's handler
    RESET = "reset"  # the software asked for it


class Lockup(Exception):
    """A fault inside the handler of a fault: a real core stands still."""


class Core:
    """One core with its memory.

    Args:
        model: unicorn's number of the core.
        memory: origin, size and whether it can be written, of each region, in bytes.
        has_fpu: whether floating-point registers exist.
    """

    def __init__(
        self, model: int, memory: tuple[tuple[int, int, bool], ...], has_fpu: bool
    ) -> None:
        import unicorn
        from unicorn import arm_const

        # neither has types of its own
        self._u: Any = unicorn
        self._r: Any = arm_const
        self._uc: Any = self._u.Uc(
            unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        self._uc.ctl_set_cpu_model(model)
        self._has_fpu = has_fpu
        for origin, size, writable in memory:
            access = (
                unicorn.UC_PROT_ALL if writable else unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC
            )
            self._uc.mem_map(origin, -(-size // _PAGE) * _PAGE, access)
        self._uc.mem_map(_RETURN, _PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self._registers = Registers(self._uc)
        r = self._r
        low = [r.UC_ARM_REG_R0 + n for n in range(4)]
        # an exception frame from r0 to xPSR, and the stack pointer
        frame = (*low, r.UC_ARM_REG_R12, r.UC_ARM_REG_LR, r.UC_ARM_REG_PC, r.UC_ARM_REG_XPSR)
        self._frame = RegisterSet(self._uc, (*frame, r.UC_ARM_REG_SP))
        floats = (*(r.UC_ARM_REG_D0 + n for n in range(8)), r.UC_ARM_REG_FPSCR)
        self._float_registers = RegisterSet(self._uc, floats)
        self._handler_state = RegisterSet(
            self._uc, (r.UC_ARM_REG_SP, r.UC_ARM_REG_LR, r.UC_ARM_REG_XPSR, r.UC_ARM_REG_PC)
        )
        self.counter = Counter(self._uc, lambda at, n: bytes(self._uc.mem_read(at, n)))
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._exception)
        self._exception_number: int | None = None
        self._reset_wanted = False
        self._in_fault = False
        self._saved: list[list[int] | None] = []  # floating-point registers
        self.vectors = 0
        self.cause = 0  # CFSR

    # ---- memory and registers ----

    def map_registers(
        self,
        base: int,
        size: int,
        read: Callable[[int], int],
        write: Callable[[int, int], None],
    ) -> None:
        """Registers at base..base + size: `read(offset)` and `write(offset, value)` serve them."""
        u = self._u
        self._uc.mmio_map(
            base,
            size,
            lambda _uc, offset, _size, _user: read(offset),
            None,
            lambda _uc, offset, _size, value, _user: write(offset, value),
            None,
        )
        # With such a hook unicorn knows the exact pc while registers are served, which `now` needs.
        hook_nothing(self._uc, u.UC_HOOK_MEM_READ | u.UC_HOOK_MEM_WRITE, base, base + size - 1)

    def now(self) -> int:
        """Instructions executed so far, exact while a register is served."""
        return self.counter.at(self._get(self._r.UC_ARM_REG_PC))

    def reset(self, image: Image, vectors: int) -> None:
        """Load the image as after power-on and stand at its reset vector."""
        for section in image.sections:
            if section.load is not None:
                self._uc.mem_write(section.load, section.data)
        self._uc.ctl_flush_tb()
        self.vectors = vectors
        self._reset_wanted = False
        self._in_fault = False
        self._saved.clear()
        self.cause = 0
        self._set(self._r.UC_ARM_REG_XPSR, _THUMB)
        self._set(self._r.UC_ARM_REG_PRIMASK, 0)
        self._set(self._r.UC_ARM_REG_CONTROL, 0)
        stack, entry = self._words(vectors, 2)
        self._set(self._r.UC_ARM_REG_SP, stack)
        self._set(self._r.UC_ARM_REG_LR, 0xFFFF_FFFF)
        self._set(self._r.UC_ARM_REG_PC, entry | 1)

    def ask_reset(self) -> None:
        """Stop for a reset; called while a register is served."""
        self._reset_wanted = True
        self._uc.emu_stop()

    @property
    def masked(self) -> bool:
        """Whether the software holds interrupts back, or a handler runs already."""
        return bool(self._saved) or bool(self._get(self._r.UC_ARM_REG_PRIMASK) & 1)

    @property
    def in_handler(self) -> bool:
        """Whether an interrupt's handler runs."""
        return bool(self._saved)

    def _get(self, register: int) -> int:
        return self._registers.read(register)

    def _set(self, register: int, value: int) -> None:
        self._registers.write(register, value)

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._uc.mem_read(address, 4 * count))

    # ---- running ----

    def run(self, instructions: int) -> Stop:
        """Run for about that many instructions, at least one block.

        Raises:
            Lockup: the core faulted inside the handler of a fault.
        """
        limit = self.counter.total + instructions
        self.counter.set_limit(limit)
        while True:
            pc = self._get(self._r.UC_ARM_REG_PC)
            fault: int | None = None
            try:
                self._uc.emu_start(pc | 1, _RETURN)
            except self._u.UcError as error:
                fault = self._cause_of(error)
            if self._reset_wanted:
                return Stop.RESET
            number = self._take_exception()
            if fault is None and number == _SWI:
                self._enter(_SVCALL)
                continue
            if fault is None and number is not None:
                fault = _CAUSES.get(number, 0)
            if fault is not None:
                self._fault(fault)
                continue
            if self._get(self._r.UC_ARM_REG_PC) & ~1 == _RETURN:
                return Stop.RETURNED
            return Stop.LIMIT if self.counter.total >= limit else Stop.SLEEP

    def _take_exception(self) -> int | None:
        number, self._exception_number = self._exception_number, None
        return number

    def _cause_of(self, error: Any) -> int:
        u = self._u
        if error.errno in (u.UC_ERR_FETCH_UNMAPPED, u.UC_ERR_FETCH_PROT):
            return _BUS_FETCH
        if error.errno in (
            u.UC_ERR_READ_UNMAPPED,
            u.UC_ERR_WRITE_UNMAPPED,
            u.UC_ERR_WRITE_PROT,
            u.UC_ERR_READ_PROT,
        ):
            return _BUS_READ
        return _UNDEFINED

    def _exception(self, uc: Any, number: int, _: Any) -> None:
        self._exception_number = number
        uc.emu_stop()

    # ---- exceptions ----

    def interrupt(self, number: int) -> None:
        """Enter the handler of a peripheral's interrupt; the core must not be `masked`."""
        self._saved.append(self._floats())
        self._enter(16 + number)

    def chain(self, number: int) -> None:
        """After a handler's end, enter the next one without leaving: the frame stays."""
        self._set(self._r.UC_ARM_REG_LR, _RETURN | 1)
        self._set(self._r.UC_ARM_REG_PC, self._handler(16 + number) | 1)

    def _fault(self, cause: int) -> None:
        pc = self._get(self._r.UC_ARM_REG_PC)
        if self._in_fault:
            raise Lockup(f"Lockup: a fault inside the handler of a fault, at pc=0x{pc:08x}")
        self._in_fault = True
        self.cause |= cause
        self._saved.clear()
        if not self._handler(_HARD_FAULT) & 1:
            raise Lockup(
                f"Lockup: the vector table at 0x{self.vectors:08x} has no handler for the fault "
                f"at pc=0x{pc:08x}"
            )
        self._enter(_HARD_FAULT)
        # which the handler may read as its cause (IPSR)
        self._set(self._r.UC_ARM_REG_XPSR, _THUMB | _HARD_FAULT)

    def _enter(self, exception: int) -> None:
        control = self._get(self._r.UC_ARM_REG_CONTROL) if self._has_fpu else 0
        *registers, pc, status, stack = self._frame.read()
        padded = _ALIGNED if stack & 4 else 0
        stack = (stack - (_EXTENDED if control & _FPCA else _BASIC)) & ~7
        frame = _FRAME.pack(*registers, pc & ~1, status | padded)
        # a stack that overflowed has no room: the handler of the fault checks what it reads
        with contextlib.suppress(self._u.UcError):
            self._uc.mem_write(stack, frame)
        if control & _FPCA:
            self._set(self._r.UC_ARM_REG_CONTROL, control & ~_FPCA)
        self._handler_state.write(
            (stack, _RETURN | 1, status & ~_IT_STATE, self._handler(exception) | 1)
        )

    def _handler(self, exception: int) -> int:
        """The vector of an exception; 0 where there is no table."""
        try:
            return self._words(self.vectors + 4 * exception, 1)[0]
        except self._u.UcError:
            return 0

    def leave(self) -> None:
        """Go on with what an interrupt's handler has interrupted; the handler has returned."""
        floats = self._saved.pop()
        stack = self._get(self._r.UC_ARM_REG_SP)
        *registers, pc, status = self._words(stack, 8)
        stack += _BASIC if floats is None else _EXTENDED
        stack |= 4 if status & _ALIGNED else 0
        if floats is not None:
            self._float_registers.write(floats)
            control = self._get(self._r.UC_ARM_REG_CONTROL)
            self._set(self._r.UC_ARM_REG_CONTROL, control | _FPCA)
        self._frame.write((*registers, pc | 1, status & ~_ALIGNED, stack))

    def _floats(self) -> list[int] | None:
        if not self._has_fpu or not self._get(self._r.UC_ARM_REG_CONTROL) & _FPCA:
            return None
        return self._float_registers.read()
