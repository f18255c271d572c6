"""Runs a board's image in unicorn against a model of the registers that its port uses.

This proves what the port writes: which clock and baud rate result, that every byte arrives, that
the counters extend each other. It does not prove that the chip behaves as the model does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgepack.manifest import Manifest
from edgepack.targets import Target
from edgepack.toolchain import read_image
from edgepack.toolchain.formats import load_chunks
from edgepack.toolchain.intel_hex import read_hex
from edgepack.toolchain.uf2 import read_uf2

unicorn = pytest.importorskip("unicorn", reason="pip install edgepack[sim]")
from unicorn import arm_const as arm  # noqa: E402

_CPU = {
    "cortex-m0plus": arm.UC_CPU_ARM_CORTEX_M0,
    "cortex-m3": arm.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
    "cortex-m33": arm.UC_CPU_ARM_CORTEX_M33,
}
_RETURN = 0x1FFF_0000  # no chip here has memory there
_PAGE = 0x1000
_SLICE = 4000  # instructions between two looks at the interrupt line
_MMIO_CYCLES = 7
_TO_UNMASK = 4  # instructions from a WFI to where interrupts are on again


class Violation(AssertionError):
    """The port did what the manual forbids."""


class Registers:
    """Memory-mapped registers: bytes hold what was written, handlers say where that differs."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}
        self.on_read: dict[int, Callable[[], int]] = {}
        self.on_write: dict[int, Callable[[int], None]] = {}

    def value(self, address: int, size: int = 4) -> int:
        """What a register holds, without the effects of reading it."""
        return sum(self.bytes.get(address + i, 0) << (8 * i) for i in range(size))

    def store(self, address: int, value: int, size: int = 4) -> None:
        for i in range(size):
            self.bytes[address + i] = value >> (8 * i) & 0xFF

    def read(self, address: int, size: int) -> int:
        handler = self.on_read.get(address)
        return handler() if handler else self.value(address, size)

    def write(self, address: int, value: int, size: int) -> None:
        handler = self.on_write.get(address)
        if handler:
            handler(value)
        else:
            self.store(address, value, size)


class Chip(Registers):
    """A chip's registers, UART and clocks; one subclass a family."""

    irq = 0

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.rx: deque[int] = deque()
        self.tx = bytearray()
        self.cycles = 0
        self.reset_by: str | None = None
        self.cycle_counter_start: int | None = None
        self._core_registers()

    # ---- what a subclass says ----

    def core_hz(self) -> float:
        raise NotImplementedError

    def baud(self) -> float:
        raise NotImplementedError

    def rx_interrupt(self) -> bool:
        """Whether the UART asks for an interrupt."""
        raise NotImplementedError

    # ---- what every Cortex-M has ----

    def _core_registers(self) -> None:
        self.systick_start: int | None = None
        self.nvic_enabled: set[int] = set()
        for word in range(8):
            self.on_write[0xE000E100 + 4 * word] = partial(self._enable, word, True)
            self.on_write[0xE000E180 + 4 * word] = partial(self._enable, word, False)
        self.on_write[0xE000ED0C] = self._aircr
        self.on_write[0xE0001000] = self._dwt_control
        self.on_read[0xE0001004] = self._cyccnt
        self.on_write[0xE000E010] = self._systick_control
        self.on_read[0xE000E018] = self._systick_value

    def _enable(self, word: int, on: bool, bits: int) -> None:
        named = {32 * word + bit for bit in range(32) if bits >> bit & 1}
        self.nvic_enabled = self.nvic_enabled | named if on else self.nvic_enabled - named

    def _aircr(self, value: int) -> None:
        if value == 0x05FA0004:
            self.reset_by = "SYSRESETREQ"

    def _dwt_control(self, value: int) -> None:
        self.store(0xE0001000, value)
        if value & 1 and self.value(0xE000EDFC) >> 24 & 1:
            self.cycle_counter_start = self.cycles

    def _cyccnt(self) -> int:
        if self.cycle_counter_start is None or "m0" in self.target.cpu:
            return 0
        return self.cycles - self.cycle_counter_start & 0xFFFF_FFFF

    def _systick_control(self, value: int) -> None:
        self.store(0xE000E010, value)
        self.systick_start = self.cycles if value & 5 == 5 else None

    def _systick_value(self) -> int:
        if self.systick_start is None:
            return 0
        return -(self.cycles - self.systick_start) % (self.value(0xE000E014) + 1)

    # ---- access ----

    def read(self, address: int, size: int) -> int:
        self.cycles += _MMIO_CYCLES * self.running
        return super().read(address, size)

    def write(self, address: int, value: int, size: int) -> None:
        self.cycles += _MMIO_CYCLES * self.running
        super().write(address, value, size)

    running = 1  # 0: time stands still, so that a test can say what it is


class Machine:
    """A CPU with the board's memories, holding the image in the form that its flash tool takes."""

    def __init__(self, project: Path, manifest: Manifest, target: Target, chip: Chip) -> None:
        self.chip = chip
        self.target = target
        self.failure: BaseException | None = None
        image = read_image(project / (manifest.image or ""))
        self.symbols = image.symbols
        self.uc: Any = unicorn.Uc(
            unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        self.uc.ctl_set_cpu_model(_CPU[target.cpu])
        self._map_memories()
        for address, data in self._flash_contents(project, manifest, load_chunks(image)):
            self.uc.mem_write(address, data)
        for base, size in ((0x4000_0000, 0x2000_0000), (0xE000_0000, 0x0010_0000)):
            self._map_registers(base, size)

    def _map_memories(self) -> None:
        spans: list[list[int]] = []
        for region in sorted(self.target.memory, key=lambda r: r.origin):
            low, high = region.origin & -_PAGE, (region.end + _PAGE - 1) & -_PAGE
            if spans and low <= spans[-1][1]:
                spans[-1][1] = max(high, spans[-1][1])
            else:
                spans.append([low, high])
        for low, high in spans:
            self.uc.mem_map(low, high - low)
        self.uc.mem_map(_RETURN, _PAGE)

    def _flash_contents(
        self, project: Path, manifest: Manifest, chunks: tuple[tuple[int, bytes], ...]
    ) -> tuple[tuple[int, bytes], ...]:
        """The image as its first extra format holds it, so that the format is what is tried."""
        if "uf2" in manifest.files:
            return read_uf2((project / manifest.files["uf2"]).read_bytes()).blocks
        if "hex" in manifest.files:
            return read_hex((project / manifest.files["hex"]).read_text("ascii"))
        if "bin" in manifest.files:
            return ((chunks[0][0], (project / manifest.files["bin"]).read_bytes()),)
        return chunks

    def _map_registers(self, base: int, size: int) -> None:
        def read(_uc: Any, offset: int, width: int, _data: Any) -> int:
            return self._guard(lambda: self.chip.read(base + offset, width)) or 0

        def write(_uc: Any, offset: int, width: int, value: int, _data: Any) -> None:
            self._guard(lambda: self.chip.write(base + offset, value, width))

        self.uc.mmio_map(base, size, read, None, write, None)

    def _guard(self, access: Callable[[], Any]) -> Any:
        """An exception must not cross unicorn's C code: keep it, and stop."""
        try:
            return access()
        except Exception as error:
            self.failure = self.failure or error
            self.uc.emu_stop()
            return 0

    def word(self, address: int) -> int:
        return int.from_bytes(self.uc.mem_read(address, 4), "little")

    def start(self, entry: int, stack: int) -> None:
        """What a boot ROM does last."""
        self.uc.reg_write(arm.UC_ARM_REG_MSP, stack)
        self.uc.reg_write(arm.UC_ARM_REG_SP, stack)
        self.uc.reg_write(arm.UC_ARM_REG_PC, entry | 1)

    def run_until(self, done: Callable[[], bool], slices: int = 3000) -> None:
        """Run on, with interrupts, until something holds."""
        for _ in range(slices):
            if done():
                return
            self.run_slice()
        raise AssertionError(f"nothing happened; sent so far: {bytes(self.chip.tx[-200:])!r}")

    def run_slice(self) -> None:
        """Take an interrupt that is due, then run a few thousand instructions."""
        self._interrupt()
        self.go(self.pc() | 1, _SLICE)

    def go(self, start: int, count: int, until: int = 0xFFFF_FFFE) -> None:
        """Execute up to `count` instructions, or until one address."""
        try:
            self.uc.emu_start(start, until, count=count)
        except unicorn.UcError as error:
            pc = self.uc.reg_read(arm.UC_ARM_REG_PC)
            name = next((n for n, (a, s) in self.symbols.items() if a & ~1 <= pc < a + s), "?")
            self.failure = self.failure or Violation(f"{error} at 0x{pc:08x} in {name}")
        if self.failure is not None:
            raise self.failure

    def _uart_pending(self) -> bool:
        return self.chip.rx_interrupt() and self.target.uart.irq in self.chip.nvic_enabled

    def _interrupt(self) -> None:
        """Let the UART's handler run as an exception would, between two instructions."""
        chip = self.chip
        masked = self.uc.reg_read(arm.UC_ARM_REG_PRIMASK) & 1
        if masked and self._uart_pending():
            # unicorn stops at each WFI, which a port executes with interrupts masked
            for _ in range(_TO_UNMASK):
                self.go(self.uc.reg_read(arm.UC_ARM_REG_PC) | 1, 1)
                masked = self.uc.reg_read(arm.UC_ARM_REG_PRIMASK) & 1
                if not masked:
                    break
        while self._uart_pending() and not masked:
            before = len(chip.rx)
            context = self.uc.context_save()
            self.call("ep_port_uart_irq")
            self.uc.context_restore(context)
            if len(chip.rx) == before and self._uart_pending():
                raise Violation("the handler left the interrupt pending for ever")

    def pc(self) -> int:
        """Where it stands."""
        return int(self.uc.reg_read(arm.UC_ARM_REG_PC)) & ~1

    def call(self, name: str, *arguments: int, returns: bool = True) -> int:
        """Call a function of the image; the result is r1:r0."""
        registers = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2)
        for register, value in zip(registers, arguments, strict=False):
            self.uc.reg_write(register, value)
        self.uc.reg_write(arm.UC_ARM_REG_LR, _RETURN | 1)
        self.go(self.symbols[name][0] | 1, 50_000_000 if returns else 2_000_000, _RETURN)
        if returns and self.pc() != _RETURN:
            raise AssertionError(f"{name} did not return")
        low = self.uc.reg_read(arm.UC_ARM_REG_R0)
        return int(low | self.uc.reg_read(arm.UC_ARM_REG_R1) << 32)
