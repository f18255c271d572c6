"""STM32 F1, F2, F4 and F7: reset, clock, power and flash."""

from __future__ import annotations

from typing import ClassVar

from tests.emulator.chip_stm32 import MHZ, PWR, Stm32, ahb_divider, apb_divider, field
from tests.emulator.unicorn_machine import Violation


class Stm32F2(Stm32):
    """F205 (RM0033), F405 (RM0090), F446 (RM0390), F746 (RM0385)."""

    RCC, FLASH = 0x4002_3800, 0x4002_3C00
    # MHz that one more wait state allows at 2.7 to 3.6 V; most MHz, and without over-drive; most
    # MHz of APB1, APB2
    LIMITS: ClassVar = {
        "stm32f205": (30, 120, 120, 30, 60),
        "stm32f405": (30, 168, 168, 42, 84),
        "stm32f446": (30, 180, 168, 45, 90),
        "stm32f746": (30, 216, 180, 54, 108),
    }

    def reset_registers(self) -> None:
        rcc = self.RCC
        self.store(rcc, 0x83)
        self.store(rcc + 4, 0x2400_3010)
        self.vos = 3 if self.target.soc.id in ("stm32f446", "stm32f746") else 1
        self.store(PWR, 0xC000 if self.vos == 3 else 0x4000)
        self.on_read |= {
            rcc: self.oscillator(
                rcc,
                {1: (0, lambda: True), 17: (16, lambda: self.hse), 25: (24, lambda: self.pll)},
            ),
            rcc + 8: lambda: self.value(rcc + 8) & ~0xC | (self.value(rcc + 8) & 3) << 2,
            PWR + 4: self._pwr_status,
        }
        self.on_write |= {rcc + 4: self._write_pll, rcc + 8: self._switch, PWR: self._write_pwr}

    def _pwr_status(self) -> int:
        return self.value(PWR) >> 16 << 16 & 0x3_0000

    def _write_pwr(self, value: int) -> None:
        self.need(self.RCC + 0x40, 28, "PWR")
        if (value ^ self.value(PWR)) >> 14 & self.vos and self.value(self.RCC) >> 24 & 1:
            raise Violation("voltage scale changed while the PLL runs")
        if value >> 16 & 1 and not self.value(self.RCC) >> 24 & 1:
            raise Violation("over-drive without the PLL")
        self.store(PWR, value)

    def _write_pll(self, value: int) -> None:
        if self.value(self.RCC) >> 24 & 1:
            raise Violation("RCC_PLLCFGR written while the PLL runs")
        if value >> 28 != 2:
            raise Violation("reserved bits of RCC_PLLCFGR, or the F446's R, changed")
        self.store(self.RCC + 4, value)

    def pll_hz(self) -> float:
        value = self.value(self.RCC + 4)
        source = 16 * MHZ
        if value >> 22 & 1:
            assert self.target.board.crystal is not None and self.hse
            source = self.target.board.crystal.hse_hz
            if bool(self.value(self.RCC) >> 18 & 1) != self.target.board.crystal.bypass:
                raise Violation("HSEBYP does not fit the board")
        m, n, q = field(value, 0, 6), field(value, 6, 9), field(value, 24, 4)
        vco = source / m * n
        if not (0.95 * MHZ <= source / m <= 2.1 * MHZ and 192 * MHZ <= vco <= 432 * MHZ):
            raise Violation(f"PLL out of range: {source / m:g} -> {vco:g} Hz")
        if not (50 <= n <= 432 and q >= 2 and vco / q <= 48 * MHZ):
            raise Violation(f"PLL factors out of range: N {n}, Q {q}")
        return vco / (2, 4, 6, 8)[field(value, 16, 2)]

    def core_hz(self) -> float:
        config = self.value(self.RCC + 8)
        hz = self.pll_hz() if config & 3 == 2 else 16 * MHZ
        return hz / ahb_divider(field(config, 4, 4))

    def _switch(self, value: int) -> None:
        self.store(self.RCC + 8, value)
        if value & 3 == 2 and not self.on_read[self.RCC]() >> 25 & 1:
            raise Violation("switched to a PLL that is not ready")
        step, most, without, apb1, apb2 = self.LIMITS[self.target.soc.id]
        hz, wait = self.core_hz(), self.value(self.FLASH) & 15
        overdrive = self._pwr_status() == 0x3_0000
        if hz > step * MHZ * (wait + 1):
            raise Violation(f"{hz / MHZ:g} MHz with {wait} wait states")
        if hz > (most if overdrive else without) * MHZ:
            raise Violation(f"{hz / MHZ:g} MHz, over-drive {overdrive}")
        if self.target.soc.id != "stm32f205" and hz > 144 * MHZ and not self._voltage_scale_1():
            raise Violation("full speed without voltage scale 1")
        if self.apb1_hz() > apb1 * MHZ or self.apb2_hz() > apb2 * MHZ:
            raise Violation(f"APB1 {self.apb1_hz():g}, APB2 {self.apb2_hz():g} Hz")

    def _voltage_scale_1(self) -> bool:
        return self.value(PWR) >> 14 & self.vos == self.vos

    def apb1_hz(self) -> float:
        return self.core_hz() / apb_divider(field(self.value(self.RCC + 8), 10, 3))

    def apb2_hz(self) -> float:
        return self.core_hz() / apb_divider(field(self.value(self.RCC + 8), 13, 3))

    def uart_hz(self) -> float:
        # USART1 and USART6 are on APB2 (memory map: 0x40010000 and up)
        return self.apb2_hz() if self.uart >= 0x4001_0000 else self.apb1_hz()

    def timer_hz(self) -> float:
        divided = apb_divider(field(self.value(self.RCC + 8), 10, 3)) > 1
        return self.apb1_hz() * (2 if divided else 1)


class Stm32F1(Stm32):
    """F100 (RM0041); its only counter is SysTick."""

    RCC = 0x4002_1000

    def reset_registers(self) -> None:
        rcc = self.RCC
        self.store(rcc, 0x83)
        self.on_read |= {
            rcc: self.oscillator(
                rcc,
                {1: (0, lambda: True), 17: (16, lambda: self.hse), 25: (24, lambda: self.pll)},
            ),
            rcc + 4: lambda: self.value(rcc + 4) & ~0xC | (self.value(rcc + 4) & 3) << 2,
        }

    def pll_hz(self) -> float:
        config = self.value(self.RCC + 4)
        source = 8 * MHZ / 2
        if config >> 16 & 1:
            assert self.target.board.crystal is not None and self.hse
            source = self.target.board.crystal.hse_hz / (self.value(self.RCC + 0x2C) % 16 + 1)
        hz = source * min(field(config, 18, 4) + 2, 16)
        if not (1 * MHZ <= source <= 24 * MHZ and 16 * MHZ <= hz <= 24 * MHZ):
            raise Violation(f"PLL out of range: {source:g} -> {hz / MHZ:g} MHz")
        return hz

    def core_hz(self) -> float:
        config = self.value(self.RCC + 4)
        assert field(config, 4, 10) == 0  # nothing divided
        return self.pll_hz() if config & 3 == 2 else 8 * MHZ

    def uart_hz(self) -> float:
        return self.core_hz()

    def timer_hz(self) -> float:
        return self.core_hz()

    def check_pin(self, pin: int) -> None:
        wanted = 0xB if pin == self.fact("EP_UART_TX_PIN") else 0x8
        assert field(self.value(self.gpio + 4 * (pin // 8)), 4 * (pin % 8), 4) == wanted
        assert self.value(self.fact("EP_GPIO_RCC_ENR")) >> (2 + self.fact("EP_UART_GPIO")) & 1
