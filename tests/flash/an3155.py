"""The boot loader in the ROM of an STM32 (ST AN3155, USART protocol)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import xor

from tests.flash.serial_pair import Line

_ACK, _NACK = b"\x79", b"\x1f"
_SYNC, _GET, _GET_ID, _READ, _GO, _WRITE, _ERASE = 0x7F, 0x00, 0x02, 0x11, 0x21, 0x31, 0x44
_COMMANDS = (_GET, _GET_ID, _READ, _GO, _WRITE, _ERASE)
_VERSION = 0x31


@dataclass
class Stm32Rom:
    """A chip that waits in its boot loader.

    Attributes:
        origin, size: of its flash.
        flash: what it holds; bits are only ever cleared by a write, as in real flash.
        locked: read-out protection is on: memory commands are refused.
        worn: address of a byte whose lowest bit reads as 1 whatever was written.
        mute: it does not answer, as with BOOT0 at 0.
        started: where the host told it to start.
    """

    origin: int = 0x08000000
    size: int = 128 * 1024
    locked: bool = False
    worn: int | None = None
    mute: bool = False
    started: int | None = None
    erased: int = 0
    flash: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.flash = bytearray(b"\x5a" * self.size)  # an old image

    def __call__(self, line: Line) -> None:
        while True:
            command = line.read(1)[0]
            if self.mute:
                continue
            if command == _SYNC:
                line.write(_ACK)
                continue
            sound = line.read(1)[0] == command ^ 0xFF
            refused = self.locked and command in (_READ, _WRITE, _ERASE, _GO)
            if not sound or refused or command not in _COMMANDS:
                line.write(_NACK)
                continue
            line.write(_ACK)
            getattr(self, f"_command_{command:02x}")(line)

    def _command_00(self, line: Line) -> None:
        line.write(bytes((len(_COMMANDS), _VERSION, *_COMMANDS)) + _ACK)

    def _command_02(self, line: Line) -> None:
        line.write(b"\x01\x04\x13" + _ACK)  # 0x413, STM32F405

    def _address(self, line: Line) -> int | None:
        raw = line.read(5)
        address = int.from_bytes(raw[:4], "big")
        if reduce(xor, raw[:4]) != raw[4]:
            line.write(_NACK)
            return None
        line.write(_ACK)
        return address

    def _command_11(self, line: Line) -> None:
        address = self._address(line)
        if address is None:
            return
        count, check = line.read(2)
        if count ^ 0xFF != check:
            line.write(_NACK)
            return
        at = address - self.origin
        # outside the flash lie the chip's own facts, such as its unique number
        inside = 0 <= at < self.size
        data = bytearray(self.flash[at : at + count + 1] if inside else bytes(count + 1))
        if self.worn is not None and address <= self.worn < address + len(data):
            data[self.worn - address] |= 1
        line.write(_ACK + data)

    def _command_21(self, line: Line) -> None:
        self.started = self._address(line)

    def _command_31(self, line: Line) -> None:
        address = self._address(line)
        if address is None:
            return
        count = line.read(1)[0] + 1
        raw = line.read(count + 1)
        at = address - self.origin
        if reduce(xor, raw, count - 1) != 0 or count % 4 or not 0 <= at <= self.size - count:
            line.write(_NACK)
            return
        for offset, byte in enumerate(raw[:-1], start=at):
            self.flash[offset] &= byte
        line.write(_ACK)

    def _command_44(self, line: Line) -> None:
        pages = line.read(2)
        assert pages == b"\xff\xff" and line.read(1) == b"\x00", "only a mass erase is played"
        self.flash = bytearray(b"\xff" * self.size)
        self.erased += 1
        line.write(_ACK)
