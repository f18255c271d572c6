"""Counters of the chips, driven by virtual time, as QEMU 7.2 models them."""

from __future__ import annotations

from edgepack.flash.unicorn_board.devices import Clock

_NS = 1_000_000_000


class Zeros:
    """Registers that read as 0 and forget what is written: what QEMU does not model either."""

    def __init__(self, base: int, size: int) -> None:
        self.base, self.size = base, size

    def reset(self) -> None:
        """Nothing to forget."""

    def read(self, offset: int) -> int:
        return 0

    def write(self, offset: int, value: int) -> None:
        """Nothing happens."""


class Fpgaio:
    """Arm DAI 0385, FPGA system control and I/O: the 100 Hz counter."""

    CLK1HZ, CLK100HZ = 0x10, 0x14

    def __init__(self, base: int, clock: Clock) -> None:
        self.base, self.size, self._clock = base, 0x1000, clock
        self.reset()

    def reset(self) -> None:
        self._zero = {self.CLK1HZ: 0, self.CLK100HZ: 0}

    def _ticks(self, offset: int) -> int:
        return self._clock() // (_NS if offset == self.CLK1HZ else _NS // 100)

    def read(self, offset: int) -> int:
        if offset not in self._zero:
            return 0
        return (self._ticks(offset) - self._zero[offset]) & 0xFFFF_FFFF

    def write(self, offset: int, value: int) -> None:
        if offset in self._zero:
            self._zero[offset] = self._ticks(offset) - value


class Stm32Timer:
    """ST RM0090 chapter 18, TIM2 and TIM5, at QEMU's 1 GHz; ARR stays at its largest value."""

    EGR, CNT, PSC = 0x14, 0x24, 0x28

    def __init__(self, base: int, clock: Clock) -> None:
        self.base, self.size, self._clock = base, 0x400, clock
        self.reset()

    def reset(self) -> None:
        self._others: dict[int, int] = {}
        self._start = self._clock()

    def read(self, offset: int) -> int:
        if offset == self.CNT:
            elapsed = self._clock() - self._start
            return elapsed // (self._others.get(self.PSC, 0) + 1) & 0xFFFF_FFFF
        return self._others.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset == self.EGR:
            self._start = self._clock()
        else:
            self._others[offset] = value


class Nrf51Timer:
    """nRF51 Series Reference Manual chapter 18, TIMER0: 16 MHz through a prescaler."""

    START, STOP, CLEAR, CAPTURE0, PRESCALER, CC0 = 0x000, 0x004, 0x00C, 0x040, 0x510, 0x540
    HZ = 16_000_000

    def __init__(self, base: int, clock: Clock) -> None:
        self.base, self.size, self._clock = base, 0x1000, clock
        self.reset()

    def reset(self) -> None:
        self._others: dict[int, int] = {}
        self._start = self._clock()

    def read(self, offset: int) -> int:
        return self._others.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset in (self.START, self.CLEAR):
            self._start = self._clock()
        elif offset == self.CAPTURE0:
            elapsed = (self._clock() - self._start) * self.HZ
            prescaler = 1 << (self._others.get(self.PRESCALER, 0) & 0xF)
            self._others[self.CC0] = elapsed // (_NS * prescaler) & 0xFFFF_FFFF
        else:
            self._others[offset] = value


class Nrf51Clock(Zeros):
    """nRF51 Series Reference Manual chapter 13: the crystal runs as soon as it is asked to."""

    HFCLKSTARTED = 0x100

    def __init__(self, base: int) -> None:
        super().__init__(base, 0x1000)

    def read(self, offset: int) -> int:
        return int(offset == self.HFCLKSTARTED)
