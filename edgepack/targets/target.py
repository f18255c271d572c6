"""A target: one board together with its chip, as the build and the runs use it."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.targets.board import Board
from edgepack.targets.record import Kind, Verified
from edgepack.targets.soc import Counter, Layout, Memory, Soc, Stack, Uart


@dataclass(frozen=True)
class Target:
    """A board and its chip. What the board states replaces what the chip states."""

    board: Board
    soc: Soc

    @property
    def id(self) -> str:
        return self.board.id

    @property
    def kind(self) -> Kind:
        return self.board.kind

    @property
    def verified(self) -> Verified:
        return self.board.verified

    @property
    def cpu(self) -> str:
        """The core, such as `cortex-m4`."""
        return self.soc.cpu.core

    @property
    def isa(self) -> tuple[str, ...]:
        """Instruction set extensions that kernels may use."""
        return self.soc.cpu.isa

    @property
    def clock_hz(self) -> int | None:
        """Core clock in Hz, or None on the host."""
        return self.soc.clock.hz

    @property
    def memory(self) -> tuple[Memory, ...]:
        return self.board.memory or self.soc.memory

    @property
    def layout(self) -> Layout | None:
        return self.board.layout or self.soc.layout

    @property
    def stack(self) -> Stack:
        return self.board.stack or self.soc.stack

    @property
    def uart(self) -> Uart:
        return self.board.uart or self.soc.uart

    def region(self, name: str) -> Memory:
        """The memory region of that name."""
        return next(region for region in self.memory if region.name == name)

    @property
    def flash_bytes(self) -> int | None:
        """Bytes for code and weights; None where there is no limit (the host)."""
        if self.layout is None:
            return None
        return sum(
            self.region(name).size
            for name in dict.fromkeys((self.layout.code, self.layout.weights))
        )

    @property
    def ram_bytes(self) -> int | None:
        """Bytes for data, arena and stack; None where there is no limit (the host)."""
        if self.layout is None:
            return None
        uses = (self.layout.data, self.layout.arena, self.layout.stack)
        return sum(self.region(name).size for name in dict.fromkeys(uses))

    @property
    def counter(self) -> Counter:
        """The counter that a run on this target reads."""
        where = self.kind.value if self.kind is not Kind.PHONE else "host"
        return next((c for c in self.soc.counter if c.where == where), self.soc.counter[0])

    @property
    def defines(self) -> tuple[str, ...]:
        """`NAME=VALUE` for the compiler: the record's facts that the port needs, in fixed order."""
        uart = self.uart
        facts: dict[str, str | None] = {
            "EP_CLOCK_HZ": _c(self.soc.clock.hz),
            "EP_HSE_HZ": _c(self.board.crystal.hse_hz if self.board.crystal else None),
            "EP_HSE_BYPASS": "1" if self.board.crystal and self.board.crystal.bypass else None,
            "EP_UART_BASE": None if uart.base is None else f"0x{uart.base:08X}u",
            "EP_UART_IRQ": _c(uart.irq, suffix=""),
            "EP_UART_CLOCK_HZ": _c(uart.clock_hz),
            "EP_UART_BAUD": _c(self.board.serial.baud or uart.baud),
            "EP_UART_MAX_BAUD": _c(uart.max_baud),
            "EP_PORT_RX_BYTES": _c(uart.rx_buffer, suffix=""),
        }
        facts.update(self.soc.port.defines)
        facts.update(self.board.defines)
        return tuple(f"{name}={value}" for name, value in facts.items() if value is not None)


def _c(value: int | None, suffix: str = "u") -> str | None:
    """A C integer literal; the IRQ number also sizes an array in `#if`, so it stays plain."""
    return None if value is None else f"{value}{suffix}"
