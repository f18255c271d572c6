"""STM32H7: reset, clock, power and flash."""

from __future__ import annotations

from functools import partial

from edgepack.targets import Target
from tests.emulator.chip_stm32 import MHZ, Stm32, ahb_divider, apb_divider, field
from tests.emulator.unicorn_machine import Violation


class Stm32H7(Stm32):
    """H743 (RM0433); `revision` as in DBGMCU_IDC: 0x1003 is Y, 0x2003 is V."""

    RCC, FLASH, H7_PWR, SYSCFG_PWRCR = 0x5802_4400, 0x5200_2000, 0x5802_4800, 0x5800_042C
    # RM0433, FLASH recommended number of wait states: most AXI MHz -> wait states, WRHIGHFREQ
    VOS1 = ((70, 0, 0), (140, 1, 1), (185, 2, 1), (210, 2, 2), (225, 3, 2))
    VOS0 = (*VOS1, (240, 4, 2))

    def __init__(
        self, target: Target, hse: bool = True, pll: bool = True, revision: int = 0x2003
    ) -> None:
        self.revision = revision
        super().__init__(target, hse, pll)

    def reset_registers(self) -> None:
        rcc, pwr = self.RCC, self.H7_PWR
        self.store(0x5C00_1000, self.revision << 16 | 0x450)
        self.store(rcc, 0x25)
        self.store(rcc + 0x28, 0x0202_0200)
        self.store(rcc + 0x2C, 0x01FF_0000)
        self.store(rcc + 0x30, 0x0101_0280)
        self.store(self.FLASH, 0x37)
        self.store(pwr + 0x0C, 6)
        self.store(pwr + 0x18, 0x4000)
        self.on_read |= {
            rcc: self.oscillator(
                rcc,
                {2: (0, lambda: True), 17: (16, lambda: self.hse), 25: (24, lambda: self.pll)},
            ),
            rcc + 0x10: lambda: self.value(rcc + 0x10) & ~0x38 | (self.value(rcc + 0x10) & 7) << 3,
            pwr + 4: lambda: (self.value(pwr + 0x0C) & 7 == 2) << 13,
            pwr + 0x18: lambda: self.value(pwr + 0x18) | 1 << 13,
        }
        self.on_write |= {
            rcc + 0x10: self._switch,
            pwr + 0x18: self._write_vos,
            self.SYSCFG_PWRCR: self._write_odboost,
        }
        for offset in (0x28, 0x2C, 0x30):
            self.on_write[rcc + offset] = partial(self._write_pll, rcc + offset)

    def _write_pll(self, address: int, value: int) -> None:
        if self.value(self.RCC) >> 24 & 1:
            raise Violation("the PLL's registers written while it runs")
        self.store(address, value)

    def _write_vos(self, value: int) -> None:
        if self.value(self.H7_PWR + 0x0C) & 7 != 2:
            raise Violation("voltage changed before the supply was chosen")
        self.store(self.H7_PWR + 0x18, value & ~(1 << 13))

    def _write_odboost(self, value: int) -> None:
        self.need(self.RCC + 0xF4, 1, "SYSCFG")
        scale = field(self.value(self.H7_PWR + 0x18), 14, 2)
        if value & 1 and (self.revision < 0x2003 or scale != 3):
            raise Violation("voltage scale 0 on revision Y, or not from scale 1")
        self.store(self.SYSCFG_PWRCR, value)

    def pll_hz(self) -> float:
        select, config = self.value(self.RCC + 0x28), self.value(self.RCC + 0x2C)
        source = 64 * MHZ
        if select & 3 == 1:
            assert self.target.board.crystal is not None and self.hse
            source = self.target.board.crystal.hse_hz
            if bool(self.value(self.RCC) >> 18 & 1) != self.target.board.crystal.bypass:
                raise Violation("HSEBYP does not fit the board")
        reference = source / field(select, 4, 6)
        low, high = ((1, 2), (2, 4), (4, 8), (8, 16))[field(config, 2, 2)]
        dividers = self.value(self.RCC + 0x30)
        vco = reference * (field(dividers, 0, 9) + 1)
        most = 960 if self.revision >= 0x2003 else 836
        if not (low * MHZ <= reference <= high * MHZ and 192 * MHZ <= vco <= most * MHZ):
            raise Violation(f"PLL out of range: {reference:g} -> {vco:g} Hz")
        assert not config & 3 and config >> 16 & 1  # wide VCO, no fraction, P on
        return vco / (field(dividers, 9, 7) + 1)

    def core_hz(self) -> float:
        hz = self.pll_hz() if self.value(self.RCC + 0x10) & 7 == 3 else 64 * MHZ
        return hz / ahb_divider(field(self.value(self.RCC + 0x18), 8, 4))

    def bus_hz(self) -> float:
        return self.core_hz() / ahb_divider(self.value(self.RCC + 0x18) & 15)

    def _switch(self, value: int) -> None:
        self.store(self.RCC + 0x10, value)
        if value & 7 == 3 and not self.on_read[self.RCC]() >> 25 & 1:
            raise Violation("switched to a PLL that is not ready")
        boosted = self.value(self.SYSCFG_PWRCR) & 1
        table = self.VOS0 if boosted else self.VOS1
        most = 480 if boosted else 400
        if field(self.value(self.H7_PWR + 0x18), 14, 2) != 3 or self.core_hz() > most * MHZ:
            raise Violation(f"{self.core_hz() / MHZ:g} MHz at this voltage")
        row = next((row for row in table if self.bus_hz() <= row[0] * MHZ), None)
        flash = self.value(self.FLASH)
        if row is None or flash & 15 < row[1] or field(flash, 4, 2) != row[2]:
            raise Violation(f"AXI at {self.bus_hz() / MHZ:g} MHz with FLASH_ACR 0x{flash:x}")
        apbs = ((0x18, 4), (0x1C, 4), (0x1C, 8), (0x20, 4))
        if max(self.apb_hz(*apb) for apb in apbs) > (120 if boosted else 100) * MHZ:
            raise Violation("an APB is too fast")

    def apb_hz(self, offset: int, low: int) -> float:
        return self.bus_hz() / apb_divider(field(self.value(self.RCC + offset), low, 3))

    def uart_hz(self) -> float:
        assert self.value(self.RCC + 0x54) == 0  # USART2 to 5, 7, 8 from PCLK1
        return self.apb_hz(0x1C, 4)

    def timer_hz(self) -> float:
        divided = apb_divider(field(self.value(self.RCC + 0x1C), 4, 3)) > 1
        return self.apb_hz(0x1C, 4) * (2 if divided else 1)
