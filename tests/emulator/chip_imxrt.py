"""Registers of the i.MX RT1062 as its reference manual describes them."""

from __future__ import annotations

from edgepack.targets import Target
from tests.emulator.unicorn_machine import Chip, Violation

XTAL_HZ = 24_000_000


class Imxrt(Chip):
    """CCM, DCDC, WDOG3, IOMUXC, LPUART6, GPT1, MPU; as the ROM leaves them, at 396 MHz."""

    CCM = 0x400F_C000
    PLL = 0x400D_8000
    UART = 0x4019_8000
    GPT = 0x401E_C000

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        ccm, uart, gpt = self.CCM, self.UART, self.GPT
        self.regions: dict[int, tuple[int, int]] = {}
        self.timer_zero: int | None = None
        self.store(self.PLL, 1 << 13 | 66)  # 792 MHz
        self.store(ccm + 0x10, 1)
        self.store(ccm + 0x14, 2 << 8)
        self.store(ccm + 0x18, 3 << 18)
        self.store(0x4008_000C, 0xE)  # 1.15 V
        self.store(0x400B_C000, 1 << 7)
        self.store(0xE000_ED80, 0xF00F_E019)  # CCSIDR: 128 sets, 4 ways of 32 bytes
        self.on_read |= {
            ccm + 0x48: lambda: 0,
            self.PLL: lambda: self.value(self.PLL) | int(self.pll_hz() > 0) << 31,
            0x4008_0000: lambda: 1 << 31,
            uart + 0x14: lambda: 3 << 22 | int(bool(self.rx)) << 21,
            uart + 0x1C: lambda: self.rx.popleft() if self.rx else 0,
            gpt: lambda: self.value(gpt) & ~(1 << 15),
            gpt + 0x24: self.timer_count,
        }
        self.on_write |= {
            self.PLL: self._write_pll,
            ccm + 0x10: lambda v: self._clock(ccm + 0x10, v),
            ccm + 0x14: lambda v: self._clock(ccm + 0x14, v),
            ccm + 0x18: lambda v: self._clock(ccm + 0x18, v),
            0xE000_EDA0: self._region,
            uart + 0x10: self._write_baud,
            uart + 0x1C: self._send,
            gpt: self._write_gpt,
        }

    def pll_hz(self) -> float:
        control = self.value(self.PLL)
        if not control >> 13 & 1 or control >> 12 & 1:
            return 0.0
        multiplier = control & 0x7F
        if not 54 <= multiplier <= 108:
            raise Violation(f"DIV_SELECT {multiplier}")
        return XTAL_HZ / 2 * multiplier

    def _write_pll(self, value: int) -> None:
        if not self.value(self.CCM + 0x14) >> 25 & 1:
            raise Violation("the ARM PLL was changed while the core ran from it")
        self.store(self.PLL, value)

    def _clock(self, address: int, value: int) -> None:
        self.store(address, value)
        hz = self.core_hz()
        if hz == 0:
            raise Violation("the core clock stopped")
        millivolts = 800 + 25 * (self.value(0x4008_000C) & 0x1F)
        if hz > 528e6 and millivolts < 1250:
            raise Violation(f"{hz:g} Hz at {millivolts} mV")
        if self.ipg_hz() > 150e6:
            raise Violation(f"ipg clock at {self.ipg_hz():g} Hz")

    def core_hz(self) -> float:
        cbcdr, cbcmr = self.value(self.CCM + 0x14), self.value(self.CCM + 0x18)
        if cbcdr >> 25 & 1:
            hz = {1: float(XTAL_HZ)}[cbcmr >> 12 & 3] / ((cbcdr >> 27 & 7) + 1)
        else:
            divider = (self.value(self.CCM + 0x10) & 7) + 1
            hz = {3: self.pll_hz()}[cbcmr >> 18 & 3] / divider
        return hz / ((cbcdr >> 10 & 7) + 1)

    def ipg_hz(self) -> float:
        return self.core_hz() / ((self.value(self.CCM + 0x14) >> 8 & 3) + 1)

    def _region(self, value: int) -> None:
        base = self.value(0xE000_ED9C)
        if base & (1 << ((value >> 1 & 31) + 1)) - 32:
            raise Violation(f"MPU region 0x{base:08x} is not aligned to its size")
        self.regions[base & 15] = (base & -32, value)

    def access(self, address: int) -> int:
        """RASR of the MPU region that covers an address: the highest number wins."""
        for number in sorted(self.regions, reverse=True):
            base, value = self.regions[number]
            if base <= address < base + (1 << ((value >> 1 & 31) + 1)):
                return value
        raise Violation(f"no MPU region covers 0x{address:08x}")

    def _write_gpt(self, value: int) -> None:
        if self.value(self.CCM + 0x6C) >> 20 & 15 != 15:
            raise Violation("GPT1 used without its clocks")
        self.store(self.GPT, value)
        if value & 1:
            assert value >> 6 & 7 == 5 and value >> 10 & 1 and value >> 9 & 1
            self.timer_zero = self.cycles

    def timer_count(self) -> int:
        assert self.timer_zero is not None
        prescaler = self.value(self.GPT + 4)
        divider = ((prescaler >> 12 & 15) + 1) * ((prescaler & 0xFFF) + 1)
        seconds_in_crystal = (self.cycles - self.timer_zero) * XTAL_HZ // int(self.core_hz())
        return seconds_in_crystal // divider & 0xFFFF_FFFF

    def _write_baud(self, value: int) -> None:
        if self.value(self.UART + 0x18) & 3 << 18:
            raise Violation("BAUD written while the LPUART sends or receives")
        self.store(self.UART + 0x10, value)

    def _send(self, value: int) -> None:
        if self.value(self.CCM + 0x74) >> 6 & 3 != 3 or not self.value(self.UART + 0x18) >> 19 & 1:
            raise Violation("a byte sent while the LPUART is off")
        self.tx.append(value & 0xFF)

    def baud(self) -> float:
        assert self.value(self.CCM + 0x24) & 0x7F == 0x40  # UARTs from the crystal, undivided
        assert self.value(0x401F_80C4) == self.value(0x401F_80C8) == 2
        assert self.value(0x401F_8550) == self.value(0x401F_8554) == 1
        value = self.value(self.UART + 0x10)
        samples = (value >> 24 & 31) + 1
        assert samples >= 4 and (samples > 7 or value >> 17 & 1)
        return XTAL_HZ / samples / (value & 0x1FFF)

    def rx_interrupt(self) -> bool:
        return bool(self.rx) and bool(self.value(self.UART + 0x18) >> 21 & 1)
