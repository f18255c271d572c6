"""Registers of RP2040 and RP2350 as in their datasheets; the flash behind the RP2040's SSI."""

from __future__ import annotations

from dataclasses import dataclass

from edgepack.targets import Target
from tests.emulator.unicorn_machine import Chip, Violation

XOSC_HZ = 12_000_000


@dataclass(frozen=True)
class Map:
    """Addresses and bits in which the two chips differ (SDK: addressmap.h, resets.h, clocks.h)."""

    clocks: int
    resets: int
    psm: int
    io: int
    pads: int
    xosc: int
    pll: int
    timer: int
    watchdog: int
    div_shift: int
    reset_bits: dict[str, int]
    all_resets: int
    ticks: int | None = None


RP2040 = Map(
    clocks=0x40008000,
    resets=0x4000C000,
    psm=0x40010000,
    io=0x40014000,
    pads=0x4001C000,
    xosc=0x40024000,
    pll=0x40028000,
    timer=0x40054000,
    watchdog=0x40058000,
    div_shift=8,
    reset_bits={"io": 5, "pads": 8, "pll": 12, "timer": 21, "uart": 22},
    all_resets=0x01FFFFFF,
)
RP2350 = Map(
    clocks=0x40010000,
    resets=0x40020000,
    psm=0x40018000,
    io=0x40028000,
    pads=0x40038000,
    xosc=0x40048000,
    pll=0x40050000,
    timer=0x400B0000,
    watchdog=0x400D8000,
    div_shift=16,
    reset_bits={"io": 6, "pads": 9, "pll": 14, "timer": 23, "uart": 26},
    all_resets=0x1FFFFFFF,
    ticks=0x40108000,
)


class Rp2(Chip):
    """Clocks, resets, timer, PL011."""

    def __init__(self, target: Target, chip: Map) -> None:
        super().__init__(target)
        self.map = chip
        assert target.uart.base is not None
        self.uart = target.uart.base
        self.divisor = 0  # latched by LCR_H
        self.timer_zero = 0
        self.latched_high = 0
        self.store(chip.resets, chip.all_resets)
        self.store(chip.pll + 4, 0x2D)  # PD, DSMPD, POSTDIVPD, VCOPD
        for ctrl in (0x30, 0x3C, 0x48):
            self.store(chip.clocks + ctrl + 4, 1 << chip.div_shift)
        self.on_read |= {
            chip.resets + 8: lambda: ~self.value(chip.resets) & chip.all_resets,
            chip.xosc + 4: lambda: int(self._xosc_on()) << 31,
            chip.pll: lambda: self.value(chip.pll) | int(self._vco_on()) << 31,
            chip.clocks + 0x38: lambda: 1 << (self.value(chip.clocks + 0x30) & 3),
            chip.clocks + 0x44: lambda: 1 << (self.value(chip.clocks + 0x3C) & 1),
            chip.timer + 0x0C: self._time_low,
            chip.timer + 0x08: lambda: self.latched_high,
            chip.timer + 0x28: lambda: self.micros() & 0xFFFF_FFFF,
            self.uart: lambda: self.rx.popleft() if self.rx else 0,
            self.uart + 0x18: lambda: int(not self.rx) << 4,
        }
        self.on_write |= {
            chip.clocks + 0x3C: self._write_sys,
            chip.resets: self._write_resets,
            chip.watchdog: self._write_watchdog,
            self.uart: lambda value: self.tx.append(value & 0xFF),
            self.uart + 0x2C: self._write_lcr,
        }

    def write(self, address: int, value: int, size: int) -> None:
        """APB registers have aliases that xor, set and clear (RP2040 2.1.2)."""
        if 0x4000_0000 <= address < 0x4020_0000:
            plain, how = address & ~0x3000, address >> 12 & 3
            old = self.value(plain)
            value = (value, old ^ value, old | value, old & ~value)[how]
            address = plain
            self._check_reset(address)
        super().write(address, value, size)

    def read(self, address: int, size: int) -> int:
        self._check_reset(address)
        return super().read(address, size)

    def _check_reset(self, address: int) -> None:
        bases = {"io": self.map.io, "pads": self.map.pads, "pll": self.map.pll}
        bases |= {"timer": self.map.timer, "uart": self.uart}
        for name, base in bases.items():
            held = self.value(self.map.resets) >> self.map.reset_bits[name] & 1
            if base <= address < base + 0x1000 and held:
                raise Violation(f"{name} used at 0x{address:08x} while it is held in reset")

    # ---- clocks ----

    def _xosc_on(self) -> bool:
        control = self.value(self.map.xosc)
        return control >> 12 == 0xFAB and control & 0xFFF == 0xAA0

    def _vco_on(self) -> bool:
        power = self.value(self.map.pll + 4)
        return self._xosc_on() and not power & 0x21 and self.value(self.map.pll + 8) > 0

    def pll_hz(self) -> float:
        if not self._vco_on() or self.value(self.map.pll + 4) & 8:
            return 0.0
        vco = XOSC_HZ / (self.value(self.map.pll) & 63) * self.value(self.map.pll + 8)
        if not 750e6 <= vco <= 1600e6:
            raise Violation(f"VCO at {vco:g} Hz")
        dividers = self.value(self.map.pll + 12)
        return vco / (dividers >> 16 & 7) / (dividers >> 12 & 7)

    def ref_hz(self) -> float:
        source = self.value(self.map.clocks + 0x30) & 3
        hz = {0: 6.5e6, 2: float(XOSC_HZ) * self._xosc_on()}[source]
        return hz / (self.value(self.map.clocks + 0x34) >> self.map.div_shift)

    def core_hz(self) -> float:
        control = self.value(self.map.clocks + 0x3C)
        hz = {0: self.pll_hz()}[control >> 5 & 7] if control & 1 else self.ref_hz()
        return hz / (self.value(self.map.clocks + 0x40) >> self.map.div_shift)

    def _write_sys(self, value: int) -> None:
        old = self.value(self.map.clocks + 0x3C)
        if old & 1 and value & 1 and (old ^ value) & 0xE0:
            raise Violation("AUXSRC of clk_sys changed while clk_sys ran from it")
        self.store(self.map.clocks + 0x3C, value)
        if self.core_hz() == 0:
            raise Violation("clk_sys stopped")

    def _write_resets(self, value: int) -> None:
        rising = value & ~self.value(self.map.resets)
        if rising >> self.map.reset_bits["pll"] & 1:
            self.store(self.map.pll + 4, 0x2D)
        self.store(self.map.resets, value)
        if self.core_hz() == 0:
            raise Violation("the PLL was reset while clk_sys ran from it")
        if rising >> self.map.reset_bits["timer"] & 1:
            self.timer_zero = self.cycles

    def _write_watchdog(self, value: int) -> None:
        selected = self.value(self.map.psm + 8)
        oscillators = 3 if self.map.ticks is None else 0xC
        everything = 0x1FFFF if self.map.ticks is None else 0x1FFFFFF
        if value >> 31 and selected == everything & ~oscillators:
            self.reset_by = "watchdog"

    # ---- timer ----

    def tick_hz(self) -> float:
        if self.map.ticks is None:
            control = self.value(self.map.watchdog + 0x2C)
            return self.ref_hz() / (control & 0x1FF) if control >> 9 & 1 else 0.0
        on = self.value(self.map.ticks + 0x18) & 1
        return self.ref_hz() / self.value(self.map.ticks + 0x1C) if on else 0.0

    def micros(self) -> int:
        return int((self.cycles - self.timer_zero) * self.tick_hz() / self.core_hz())

    def _time_low(self) -> int:
        self.latched_high = self.micros() >> 32
        return self.micros() & 0xFFFF_FFFF

    # ---- UART ----

    def _write_lcr(self, value: int) -> None:
        if self.value(self.uart + 0x30) & 1:
            raise Violation("the UART's format changed while it was on")
        if value != 0x70:
            raise Violation(f"UARTLCR_H 0x{value:02x} is not 8N1 with FIFOs")
        self.divisor = self.value(self.uart + 0x24) * 64 + self.value(self.uart + 0x28)

    def baud(self) -> float:
        assert self.value(self.uart + 0x30) == 0x301  # on, sends, receives
        assert self.value(self.map.clocks + 0x48) == 1 << 11  # clk_peri: on, from clk_sys
        for pin in (0, 1):
            assert self.value(self.map.io + 8 * pin + 4) & 31 == 2
            pad = self.value(self.map.pads + 4 * pin + 4)
            assert pad & 0x40 and not pad & 0x180  # input on, output on, not isolated
        return self.core_hz() * 4 / self.divisor

    def rx_interrupt(self) -> bool:
        return bool(self.rx) and self.value(self.uart + 0x38) & 0x50 == 0x50


class SsiFlash:
    """The RP2040's SSI with a W25Q16JV behind it, as far as boot2 uses them.

    `quad` is the QE bit; `fixed_quad` keeps it from being written, as without command 31h.
    """

    BASE = 0x1800_0000

    def __init__(self, quad: bool, fixed_quad: bool = False) -> None:
        self.quad = quad
        self.fixed_quad = fixed_quad
        self.registers = {0x0C: 0}
        self.sent: list[int] = []
        self.answers: list[int] = []
        self.volatile_write = False
        self.continuous = False

    def read(self, offset: int) -> int:
        if offset == 0x28:
            self._transact()
            return 4  # transmit FIFO empty, not busy
        if offset == 0x60:
            return self.answers.pop(0)
        return self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        on = self.registers.get(8, 0)
        if offset == 0x60:
            if not on:
                raise Violation("data sent while the SSI is off")
            self.sent.append(value)
            return
        if on and offset != 8:
            raise Violation(f"SSI register 0x{offset:02x} written while the SSI is on")
        self.registers[offset] = value

    def _transact(self) -> None:
        sent, self.sent = self.sent, []
        if not sent:
            return
        control, spi = self.registers[0], self.registers.get(0xF4, 0)
        if control == 7 << 16:
            self.answers += self._command(sent)
        elif control == 31 << 16 | 3 << 8 | 2 << 21 and spi == 0x2221 and sent[0] == 0xEB:
            # 8-bit command on one line, 32 bits of address and mode and 4 dummies on four
            self.continuous = self.quad and sent[1] & 0xF0 == 0xA0
        else:
            raise Violation(f"SSI transfer with CTRLR0 0x{control:08x}, SPI_CTRLR0 0x{spi:08x}")

    def _command(self, sent: list[int]) -> list[int]:
        if sent[0] == 0x35:
            return [0, 2 * self.quad]
        if sent == [0x50]:
            self.volatile_write = True
            return [0]
        if sent[0] == 0x31 and self.volatile_write:
            if not self.fixed_quad:
                self.quad = bool(sent[1] & 2)
            return [0, 0]
        raise Violation(f"flash command {sent}")

    def mode(self) -> str | None:
        """How a read of the XIP window reaches the flash, or None when it would read garbage."""
        control, spi = self.registers.get(0, 0), self.registers.get(0xF4, 0)
        if not self.registers.get(8, 0):
            return None
        if control == 31 << 16 | 3 << 8 and spi == 0x03000218 and not self.continuous:
            return "serial"
        if control == 31 << 16 | 3 << 8 | 2 << 21 and spi == 0xA0002022 and self.continuous:
            return "quad"
        return None
