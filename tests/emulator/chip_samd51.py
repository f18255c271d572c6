"""Registers of the SAM D51 as its data sheet describes them."""

from __future__ import annotations

from collections.abc import Callable

from edgepack.targets import Target
from tests.emulator.unicorn_machine import Chip, Violation

DFLL_HZ, XTAL_HZ = 48_000_000, 32_768
# SERCOM base: clock channel, bus mask register, its bit; DFP instance/sercom*.h, component/mclk.h
SERCOMS = {0x4300_0400: (35, 0x4000_0820, 1), 0x4101_4000: (24, 0x4000_0818, 10)}


class Samd51(Chip):
    """OSC32KCTRL, OSCCTRL, GCLK, MCLK, one SERCOM, TC0."""

    GCLK = 0x4000_1C00
    TC = 0x4000_3800

    def __init__(self, target: Target, crystal: bool = True) -> None:
        super().__init__(target)
        assert target.uart.base is not None
        self.uart = target.uart.base
        self.crystal = crystal
        self.interrupts = 0
        self.count = 0
        self.timer_zero: int | None = None
        uart, tc = self.uart, self.TC
        self.store(self.GCLK + 0x20, 0x106)  # generator 0: DFLL
        self.store(0x4000_0805, 1, 1)
        self.on_read |= {
            0x4000_140C: lambda: int(self.crystal and bool(self.value(0x4000_1414, 2) & 2)),
            0x4000_1040: lambda: 3 * (self.dpll_hz() > 0),
            tc + 0x10: lambda: 0,
            tc + 0x14: lambda: self.count,
            uart + 0x18: lambda: 3 | int(bool(self.rx)) << 2,
            uart + 0x28: lambda: self.rx.popleft() if self.rx else 0,
        }
        self.on_write |= {
            self.GCLK: self._reset_gclk,
            self.GCLK + 0x20: self._switch_core,
            0x4000_1034: self._protected(0x4000_1034, 0x4000_1030),
            tc: self._write_tc,
            tc + 5: self._sync_tc,
            uart: self._write_usart,
            uart + 0x0C: self._write_baud,
            uart + 0x14: lambda v: self._interrupts(self.interrupts & ~v),
            uart + 0x16: lambda v: self._interrupts(self.interrupts | v),
            uart + 0x28: self._send,
        }

    def _protected(self, address: int, enable: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            if self.value(enable, 1) & 2:
                raise Violation(f"0x{address:08x} written while its block is on")
            self.store(address, value)

        return write

    def _reset_gclk(self, value: int) -> None:
        if value & 1:
            for address in range(self.GCLK + 0x20, self.GCLK + 0x140):
                self.bytes.pop(address, None)
            self.store(self.GCLK + 0x20, 0x106)

    def _switch_core(self, value: int) -> None:
        self.store(self.GCLK + 0x20, value)
        if self.generator_hz(0) == 0:
            raise Violation("the core clock stopped")

    def dpll_hz(self) -> float:
        if not self.value(0x4000_1030, 1) & 2:
            return 0.0
        if self.value(0x4000_1038) >> 5 & 7 == 1:
            reference = XTAL_HZ * self.crystal
        else:
            channel = self.value(self.GCLK + 0x84)
            reference = int(self.generator_hz(channel & 15)) if channel & 0x40 else 0
        ratio = self.value(0x4000_1034)
        return reference * ((ratio & 0x1FFF) + 1 + (ratio >> 16 & 31) / 32)

    def generator_hz(self, number: int) -> float:
        control = self.value(self.GCLK + 0x20 + 4 * number)
        if not control & 0x100:
            return 0.0
        sources = {6: lambda: float(DFLL_HZ), 7: self.dpll_hz}
        hz = sources[control & 15]()
        return hz / max(1, control >> 16)

    def channel_hz(self, number: int) -> float:
        control = self.value(self.GCLK + 0x80 + 4 * number)
        return self.generator_hz(control & 15) if control & 0x40 else 0.0

    def core_hz(self) -> float:
        assert self.value(0x4100_6008) & 1, "the cache is off"
        return self.generator_hz(0) / self.value(0x4000_0805, 1)

    def _write_tc(self, value: int) -> None:
        if self.value(0x4000_0814) >> 14 & 3 != 3 or self.channel_hz(9) == 0:
            raise Violation("TC0 used without its clocks")
        self.store(self.TC, 0 if value & 1 else value)
        if value & 2:
            assert value & ~2 == (2 << 2 | 7 << 8)  # 32 bits, 1/1024
            self.timer_zero = self.cycles

    def _sync_tc(self, value: int) -> None:
        assert value == 4 << 5 and self.timer_zero is not None
        hz = self.channel_hz(9) / 1024
        self.count = int((self.cycles - self.timer_zero) * hz / self.core_hz()) & 0xFFFF_FFFF

    def _write_usart(self, value: int) -> None:
        channel, mask, bit = SERCOMS[self.uart]
        if not self.value(mask) >> bit & 1 or self.channel_hz(channel) == 0:
            raise Violation("the SERCOM used without its clocks")
        if value & 2 and self.value(self.uart) & ~2 != value & ~2:
            raise Violation("CTRLA changed together with ENABLE")
        self.store(self.uart, 0 if value & 1 else value)

    def _write_baud(self, value: int) -> None:
        if self.value(self.uart) & 2:
            raise Violation("BAUD written while the SERCOM is on")
        self.store(self.uart + 0x0C, value, 2)

    def _interrupts(self, value: int) -> None:
        self.interrupts = value

    def _send(self, value: int) -> None:
        if not self.value(self.uart) & 2 or not self.value(self.uart + 4) >> 16 & 1:
            raise Violation("a byte sent while the SERCOM is off")
        self.tx.append(value & 0xFF)

    def baud(self) -> float:
        control = self.value(self.uart)
        assert control & 0x4030_001C == 1 << 2 | 1 << 20 | 1 << 30  # internal clock, pad 1, LSB
        facts = dict(d.split("=") for d in self.target.defines)
        group = 0x4100_8000 + 0x80 * int(facts["EP_UART_PORT"].rstrip("u"))
        for name in ("EP_UART_TX_PIN", "EP_UART_RX_PIN"):
            pin = int(facts[name].rstrip("u"))
            assert self.value(group + 0x40 + pin, 1) & 3 == 3
            assert self.value(group + 0x30 + pin // 2, 1) >> (4 * (pin % 2)) & 15 == 2
        hz = self.channel_hz(SERCOMS[self.uart][0])
        assert hz <= 100e6, "a SERCOM takes 100 MHz at most"
        return hz / 16 * (1 - self.value(self.uart + 0x0C, 2) / 65536)

    def rx_interrupt(self) -> bool:
        return bool(self.rx and self.interrupts & 4)
