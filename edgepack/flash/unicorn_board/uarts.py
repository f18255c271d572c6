"""The serial ports, as QEMU 7.2 models them: no baud rate, no lost bytes.

Each holds what the chip's own receiver holds; the rest waits in `incoming`, from where the chip
takes it as soon as it has room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_SIZE = 0x1000


class Uart:
    """What the three have in common.

    Attributes:
        incoming: bytes from the host, not yet in the chip.
        outgoing: bytes from the chip, not yet sent to the host.
        eager: called when the chip has made room while more bytes wait.
    """

    def __init__(self, base: int, eager: Callable[[], None]) -> None:
        self.base, self.size = base, _SIZE
        self.incoming: deque[int] = deque()
        self.outgoing = bytearray()
        self._eager = eager

    def reset(self) -> None:
        """As after power-on: what the chip holds is lost."""
        raise NotImplementedError

    def read(self, offset: int) -> int:
        """The value of a register."""
        raise NotImplementedError

    def write(self, offset: int, value: int) -> None:
        """Set a register."""
        raise NotImplementedError

    def interrupts(self) -> bool:
        """Whether its interrupt line is up."""
        raise NotImplementedError

    def receive(self) -> None:
        """Take waiting bytes in, as far as the chip has room."""
        raise NotImplementedError

    def _made_room(self) -> None:
        if self.incoming:
            self._eager()


class CmsdkUart(Uart):
    """Arm DDI 0479 4.5: one byte of buffer; reception latches an interrupt."""

    DATA, STATE, CTRL, INTSTATUS, BAUDDIV = 0x00, 0x04, 0x08, 0x0C, 0x10
    RX = 2

    def reset(self) -> None:
        self._byte: int | None = None
        self._ctrl = self._pending = self._divider = 0

    def read(self, offset: int) -> int:
        if offset == self.DATA:
            byte, self._byte = self._byte, None
            self._made_room()
            return byte or 0
        if offset == self.STATE:
            return 0 if self._byte is None else self.RX
        registers = {
            self.CTRL: self._ctrl,
            self.INTSTATUS: self._pending,
            self.BAUDDIV: self._divider,
        }
        return registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset == self.DATA and self._ctrl & 1:
            self.outgoing.append(value & 0xFF)
        elif offset == self.CTRL:
            self._ctrl = value & 0x7F
            self._made_room()
        elif offset == self.INTSTATUS:
            self._pending &= ~value
        elif offset == self.BAUDDIV:
            self._divider = value

    def receive(self) -> None:
        if self._byte is None and self._ctrl & 2 and self.incoming:
            self._byte = self.incoming.popleft()
            if self._ctrl & 8:
                self._pending |= self.RX

    def interrupts(self) -> bool:
        return bool(self._pending & self.RX)


class Stm32Usart(Uart):
    """ST RM0090 chapter 30: one byte of buffer; the line is up as long as it is full."""

    SR, DR, CR1 = 0x00, 0x04, 0x0C
    EMPTY, RXNE = 0xC0, 0x20
    RXNEIE, RE, UE = 1 << 5, 1 << 2, 1 << 13

    def reset(self) -> None:
        self._byte: int | None = None
        self._others: dict[int, int] = {}

    def read(self, offset: int) -> int:
        if offset == self.SR:
            return self.EMPTY | (0 if self._byte is None else self.RXNE)
        if offset == self.DR:
            byte, self._byte = self._byte, None
            self._made_room()
            return byte or 0
        return self._others.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset == self.DR:
            self.outgoing.append(value & 0xFF)
        elif offset != self.SR:
            self._others[offset] = value
            self._made_room()

    def receive(self) -> None:
        enabled = self.UE | self.RE
        if self._byte is None and self.incoming and self.read(self.CR1) & enabled == enabled:
            self._byte = self.incoming.popleft()

    def interrupts(self) -> bool:
        return self._byte is not None and bool(self.read(self.CR1) & self.RXNEIE)


class Nrf51Uart(Uart):
    """nRF51 Series Reference Manual chapter 29: six bytes of buffer, an event for each byte."""

    RXDRDY, TXDRDY = 0x108, 0x11C
    INTENSET, INTENCLR = 0x304, 0x308
    STARTRX, ENABLE, RXD, TXD = 0x000, 0x500, 0x518, 0x51C
    READY, DEPTH = 1 << 2, 6

    def reset(self) -> None:
        self._fifo: deque[int] = deque()
        self._others: dict[int, int] = {}
        self._enabled = 0
        self._started = False

    def read(self, offset: int) -> int:
        if offset == self.RXD:
            byte = self._fifo.popleft() if self._fifo else 0
            if self._fifo:
                self._others[self.RXDRDY] = 1
            self._made_room()
            return byte
        if offset in (self.INTENSET, self.INTENCLR):
            return self._enabled
        return self._others.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        if offset == self.TXD:
            self.outgoing.append(value & 0xFF)
            self._others[self.TXDRDY] = 1
        elif offset == self.INTENSET:
            self._enabled |= value
            self._eager()
        elif offset == self.INTENCLR:
            self._enabled &= ~value
        elif offset == self.STARTRX:
            self._started = bool(value)
            self._made_room()
        else:
            self._others[offset] = value

    def receive(self) -> None:
        while self._started and self.incoming and len(self._fifo) < self.DEPTH:
            self._fifo.append(self.incoming.popleft())
            self._others[self.RXDRDY] = 1

    def interrupts(self) -> bool:
        return bool(self._enabled & self.READY and self._others.get(self.RXDRDY, 0))
