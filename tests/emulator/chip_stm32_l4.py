"""STM32L4+: reset, clock, power and flash."""

from __future__ import annotations

from functools import partial

from tests.emulator.chip_stm32 import MHZ, PWR, Stm32, ahb_divider, field
from tests.emulator.unicorn_machine import Violation


class Stm32L4(Stm32):
    """L4R5 (RM0432)."""

    RCC, FLASH = 0x4002_1000, 0x4002_2000

    def reset_registers(self) -> None:
        rcc = self.RCC
        self.store(rcc, 0x63)
        self.store(rcc + 0x0C, 0x1000)
        self.store(PWR, 0x200)
        self.store(PWR + 0x80, 0x100)
        self.switched_at: int | None = None
        self.on_read |= {
            rcc: self.oscillator(
                rcc,
                {1: (0, lambda: True), 10: (8, lambda: True), 25: (24, lambda: self.pll)},
            ),
            rcc + 8: lambda: self.value(rcc + 8) & ~0xC | (self.value(rcc + 8) & 3) << 2,
            PWR + 0x14: lambda: 0,
        }
        self.on_write |= {rcc + 8: self._switch, rcc + 0x0C: self._write_pll}
        for offset in (0, 4, 0x80):
            self.on_write[PWR + offset] = partial(self._write_pwr, PWR + offset)

    def _write_pwr(self, address: int, value: int) -> None:
        self.need(self.RCC + 0x58, 28, "PWR")
        self.store(address, value)

    def _write_pll(self, value: int) -> None:
        on = self.value(self.RCC) >> 24 & 1
        outputs = 1 << 16 | 1 << 20 | 1 << 24
        if on and (value ^ self.value(self.RCC + 0x0C)) & ~outputs:
            raise Violation("RCC_PLLCFGR written while the PLL runs")
        self.store(self.RCC + 0x0C, value)

    def pll_hz(self) -> float:
        value = self.value(self.RCC + 0x0C)
        assert value & 3 == 2 and value >> 24 & 1  # from the HSI16, output R on
        reference = 16 * MHZ / (field(value, 4, 4) + 1)
        vco = reference * field(value, 8, 7)
        if not (2.66 * MHZ <= reference <= 16 * MHZ and 64 * MHZ <= vco <= 344 * MHZ):
            raise Violation(f"PLL out of range: {reference:g} -> {vco:g} Hz")
        return vco / (2, 4, 6, 8)[field(value, 25, 2)]

    def core_hz(self) -> float:
        config = self.value(self.RCC + 8)
        hz = self.pll_hz() if config & 3 == 3 else 4 * MHZ
        return hz / ahb_divider(field(config, 4, 4))

    def _switch(self, value: int) -> None:
        before = self.core_hz()
        self.store(self.RCC + 8, value)
        hz, wait = self.core_hz(), self.value(self.FLASH) & 15
        if value & 3 == 3 and not self.on_read[self.RCC]() >> 25 & 1:
            raise Violation("switched to a PLL that is not ready")
        if hz > 20 * MHZ * (wait + 1):
            raise Violation(f"{hz / MHZ:g} MHz with {wait} wait states")
        boost = field(self.value(PWR), 9, 2) == 1 and not self.value(PWR + 0x80) >> 8 & 1
        if hz > (120 if boost else 80) * MHZ:
            raise Violation(f"{hz / MHZ:g} MHz, boost {boost}")
        if hz > 80 * MHZ and before < 40 * MHZ:
            raise Violation("from below 40 to above 80 MHz without a stop at half the clock")

    def check_pin(self, pin: int) -> None:
        super().check_pin(pin)
        if self.fact("EP_UART_GPIO") == 6 and pin >= 2 and not self.value(PWR + 4) >> 9 & 1:
            raise Violation("port G without its supply VDDIO2")

    def uart_hz(self) -> float:
        assert self.value(self.RCC + 0x88) == 0  # all from PCLK
        return self.timer_hz()

    def timer_hz(self) -> float:
        assert field(self.value(self.RCC + 8), 8, 6) == 0  # neither APB divided
        return self.core_hz()
