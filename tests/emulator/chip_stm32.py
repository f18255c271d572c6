"""Registers of STM32 chips as their reference manuals describe them, decoded apart from the port.

What the manuals forbid is a Violation: a core that is faster than its flash or voltage allow, a PLL
out of its ranges or changed while it runs, a block used without its clock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edgepack.targets import Target
from tests.emulator.unicorn_machine import Chip, Violation

TIM2, TIM5 = 0x4000_0000, 0x4000_0C00
PWR = 0x4000_7000
MHZ = 1_000_000
PRESCALERS = (1, 2, 4, 6, 8, 10, 12, 16, 32, 64, 128, 256)  # LPUART_PRESC


def field(value: int, low: int, bits: int) -> int:
    return value >> low & (1 << bits) - 1


def apb_divider(code: int) -> int:
    """PPRE: the same code in every family."""
    return 1 if code < 4 else 2 << (code - 4)


def ahb_divider(code: int) -> int:
    """HPRE."""
    return 1 if code < 8 else (2, 4, 8, 16, 64, 128, 256, 512)[code - 8]


class Stm32(Chip):
    """USART, GPIO, TIM2 and TIM5; a subclass adds reset, clock, power and flash of a family.

    Args:
        hse: whether a crystal or the ST-LINK's clock is there.
        pll: whether the PLL locks.
    """

    def __init__(self, target: Target, hse: bool = True, pll: bool = True) -> None:
        super().__init__(target)
        self.hse, self.pll = hse, pll
        self.facts = dict(define.split("=") for define in target.defines)
        self.uart = self.fact("EP_HW_UART_BASE", target.uart.base)
        self.gpio = self.fact("EP_GPIO_BASE") + 0x400 * self.fact("EP_UART_GPIO")
        new = self.fact("EP_USART_LAYOUT") == 2
        cr1, brr = (0x00, 0x0C) if new else (0x0C, 0x08)
        self.cr1, self.brr = self.uart + cr1, self.uart + brr
        self.ue = 1 if new else 1 << 13
        self.locked_brr = new
        status, rx, tx = (0x1C, 0x24, 0x28) if new else (0x00, 0x04, 0x04)
        self.on_read |= {
            self.uart + status: lambda: 0xC0 | 0x20 * bool(self.rx),
            self.uart + rx: lambda: self.rx.popleft() if self.rx else 0,
        }
        self.on_write |= {
            self.uart + tx: self._send,
            self.cr1: self._write_cr1,
            self.brr: self._write_brr,
        }
        self.timer_start = dict.fromkeys((TIM2, TIM5), 0)
        for base in (TIM2, TIM5):
            self.on_read[base + 0x24] = partial(self._count, base)
            self.on_write[base + 0x14] = partial(self._update, base)
        self.on_read[0xE000_ED80] = lambda: 127 << 13 | 3 << 3 | 1  # 128 sets of 4 ways
        self.reset_registers()

    def fact(self, name: str, default: int | None = None) -> int:
        text = self.facts.get(name)
        if text is None:
            assert default is not None, name
            return default
        return int(text.rstrip("u"), 0)

    # ---- what a family says ----

    def reset_registers(self) -> None:
        raise NotImplementedError

    def uart_hz(self) -> float:
        raise NotImplementedError

    def timer_hz(self) -> float:
        raise NotImplementedError

    def check_pin(self, pin: int) -> None:
        number = self.fact("EP_UART_AF")
        assert field(self.value(self.gpio), 2 * pin, 2) == 2, "not an alternate function"
        assert field(self.value(self.gpio + 0x20 + 4 * (pin // 8)), 4 * (pin % 8), 4) == number
        assert self.value(self.fact("EP_GPIO_RCC_ENR")) >> self.fact("EP_UART_GPIO") & 1

    # ---- blocks that all have ----

    def need(self, enable: int, bit: int, what: str) -> None:
        if not self.value(enable) >> bit & 1:
            raise Violation(f"{what} used without its clock")

    def _uart_clocked(self) -> None:
        self.need(self.fact("EP_UART_RCC_ENR"), self.fact("EP_UART_RCC_BIT"), "the UART")

    def _send(self, value: int) -> None:
        self._uart_clocked()
        if self.value(self.cr1) & (self.ue | 8) != self.ue | 8:
            raise Violation("a byte sent while the transmitter is off")
        self.tx.append(value & 0xFF)

    def _write_cr1(self, value: int) -> None:
        self._uart_clocked()
        self.store(self.cr1, value)

    def _write_brr(self, value: int) -> None:
        self._uart_clocked()
        if self.locked_brr and self.value(self.cr1) & self.ue:
            raise Violation("BRR written while the UART is on")
        self.store(self.brr, value)

    def baud(self) -> float:
        for name in ("EP_UART_TX_PIN", "EP_UART_RX_PIN"):
            self.check_pin(self.fact(name))
        divisor = self.value(self.brr)
        if not self.fact("EP_UART_IS_LPUART", 0):
            assert 16 <= divisor <= 0xFFFF
            return self.uart_hz() / divisor
        hz = self.uart_hz() / PRESCALERS[self.value(self.uart + 0x2C)]
        assert 0x300 <= divisor <= 0xF_FFFF
        return 256 * hz / divisor

    def rx_interrupt(self) -> bool:
        wanted = self.ue | 1 << 5 | 1 << 2
        return bool(self.rx) and self.value(self.cr1) & wanted == wanted

    def _update(self, base: int, value: int) -> None:
        self.need(self.fact("EP_TIM_RCC_ENR"), 0 if base == TIM2 else 3, "a timer")
        if value & 1:
            self.timer_start[base] = self.cycles

    def _count(self, base: int) -> int:
        if not self.value(base) & 1:
            return 0
        passed = int((self.cycles - self.timer_start[base]) * self.timer_hz() / self.core_hz())
        return passed // (self.value(base + 0x28) + 1) & self.value(base + 0x2C)

    def oscillator(
        self, address: int, ready: dict[int, tuple[int, Callable[[], bool]]]
    ) -> Callable[[], int]:
        """A register whose ready bits follow its enable bits: ready bit -> (enable, works)."""

        def read() -> int:
            value = self.value(address)
            for bit, (enable, works) in ready.items():
                value &= ~(1 << bit)
                value |= (value >> enable & 1 and works()) << bit
            return value

        return read
