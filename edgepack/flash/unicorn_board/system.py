"""The private peripherals of a Cortex-M: NVIC, SCB, SysTick. ARM DDI 0403 chapter B3."""

from __future__ import annotations

from collections.abc import Callable

from edgepack.flash.unicorn_board.core import Core

_BASE, _SIZE = 0xE000_0000, 0x0010_0000
_SYST_CSR, _SYST_RVR, _SYST_CVR = 0xE010, 0xE014, 0xE018
_NVIC_ISER, _NVIC_ICER = 0xE100, 0xE180
_NVIC_WORDS = 16
_VTOR, _AIRCR, _CFSR = 0xED08, 0xED0C, 0xED28
_RESET = 0x05FA_0004  # key and SYSRESETREQ
_ROUND = 1 << 24


class SystemSpace:
    """The private peripheral bus.

    Args:
        core: whose vectors and faults the SCB shows.
        tick: numerator and denominator of SysTick's period, in nanoseconds.
        enabled: called when an interrupt is enabled, so that a waiting one comes at once.
    """

    base, size = _BASE, _SIZE

    def __init__(self, core: Core, tick: tuple[int, int], enabled: Callable[[], None]) -> None:
        self._core, self._tick, self._enabled = core, tick, enabled
        self.reset()

    def reset(self) -> None:
        self._irqs = [0] * _NVIC_WORDS
        self._others: dict[int, int] = {}
        self._start = self._core.now()

    def irq_enabled(self, number: int) -> bool:
        """Whether the NVIC lets an interrupt through."""
        return bool(self._irqs[number // 32] >> (number % 32) & 1)

    def _ticks(self) -> int:
        period, parts = self._tick
        return (self._core.now() - self._start) * parts // period

    def read(self, offset: int) -> int:
        if offset == _SYST_CVR:
            # after a write it stands at 0, then counts down from the reload value
            reload = self._others.get(_SYST_RVR, 0)
            return -self._ticks() % (reload + 1) if self._others.get(_SYST_CSR, 0) & 1 else 0
        if offset == _VTOR:
            return self._core.vectors
        if offset == _CFSR:
            return self._core.cause
        for bank in (_NVIC_ISER, _NVIC_ICER):
            if bank <= offset < bank + 4 * _NVIC_WORDS:
                return self._irqs[(offset - bank) // 4]
        return self._others.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset == _AIRCR:
            if value == _RESET:
                self._core.ask_reset()
        elif offset == _VTOR:
            self._core.vectors = value & ~0x7F
        elif offset == _CFSR:
            self._core.cause &= ~value
        elif offset in (_SYST_CSR, _SYST_CVR):
            self._others[offset] = value
            self._start = self._core.now()
        elif _NVIC_ISER <= offset < _NVIC_ISER + 4 * _NVIC_WORDS:
            self._irqs[(offset - _NVIC_ISER) // 4] |= value
            self._enabled()
        elif _NVIC_ICER <= offset < _NVIC_ICER + 4 * _NVIC_WORDS:
            self._irqs[(offset - _NVIC_ICER) // 4] &= ~value
        elif offset in (_SYST_RVR,):
            self._others[offset] = value & (_ROUND - 1)
        elif offset < 0x1000 or offset >= 0x2000:
            self._others[offset] = value  # 0x1000: a cycle counter that stands still, as in QEMU
