"""Registers of the nRF52840 as its product specification describes them."""

from __future__ import annotations

from edgepack.targets import Target
from tests.emulator.unicorn_machine import Chip, Violation


class Nrf52(Chip):
    """CLOCK, NVMC, UART0, TIMER0."""

    UART = 0x4000_2000
    TIMER = 0x4000_8000

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.crystal = False
        self.interrupts = 0
        self.timer_zero: int | None = None
        uart = self.UART
        self.on_read |= {
            0x4000_0100: lambda: int(self.crystal),
            uart + 0x108: lambda: int(bool(self.rx)),
            uart + 0x11C: lambda: 1,
            uart + 0x518: lambda: self.rx.popleft() if self.rx else 0,
        }
        self.on_write |= {
            0x4000_0000: self._start_crystal,
            uart + 0x304: lambda v: self._interrupts(self.interrupts | v),
            uart + 0x308: lambda v: self._interrupts(self.interrupts & ~v),
            uart + 0x51C: self._send,
            self.TIMER + 0x000: self._start_timer,
            self.TIMER + 0x040: lambda _: self.store(self.TIMER + 0x540, self.timer_count()),
        }

    def _start_crystal(self, _: int) -> None:
        self.crystal = True

    def _interrupts(self, value: int) -> None:
        self.interrupts = value

    def _send(self, value: int) -> None:
        if self.value(self.UART + 0x500) != 4 or not self.value(self.UART + 8):
            raise Violation("a byte sent while the UART is off")
        self.tx.append(value & 0xFF)

    def _start_timer(self, _: int) -> None:
        assert self.value(self.TIMER + 0x508) == 3  # 32 bits
        self.timer_zero = self.cycles

    def timer_count(self) -> int:
        assert self.timer_zero is not None
        hz = 16_000_000 >> self.value(self.TIMER + 0x510)
        return (self.cycles - self.timer_zero) * hz // 64_000_000 & 0xFFFF_FFFF

    def core_hz(self) -> float:
        assert self.value(0x4001_E540) & 1, "the instruction cache is off"
        return 64e6 if self.crystal else 0.0

    def baud(self) -> float:
        uart = self.UART
        assert self.value(uart + 0x508) == self.value(uart + 0x510) == 0xFFFF_FFFF  # no RTS, CTS
        tx, rx = self.value(uart + 0x50C), self.value(uart + 0x514)
        assert (f"EP_UART_TX_PIN={tx}u", f"EP_UART_RX_PIN={rx}u") == self._pins()
        assert self.value(self._pin_cnf(tx)) & 1 and not self.value(self._pin_cnf(rx)) & 3
        return self.value(uart + 0x524) * 16e6 / 2**32

    def _pins(self) -> tuple[str, ...]:
        return tuple(sorted((d for d in self.target.defines if "_PIN=" in d), reverse=True))

    def _pin_cnf(self, pin: int) -> int:
        return 0x5000_0700 + 0x300 * (pin // 32) + 4 * (pin % 32)

    def rx_interrupt(self) -> bool:
        return bool(self.rx and self.interrupts & 4 and self.value(self.UART))
