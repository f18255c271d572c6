"""The record of a board: targets/boards/<id>.toml. It names its chip and says how to reach it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edgepack.targets.record import Hertz, Identifier, Kind, Record, Source, Verified
from edgepack.targets.soc import Layout, Memory, Stack, Uart, check_memory

UsbId = Annotated[int, Field(ge=0, le=0xFFFF)]


class Emulator(Record):
    """The program that plays the board. `min_version` is the oldest one that was tried."""

    program: str
    machine: str
    args: tuple[str, ...] = ()
    min_version: str
    source: Source


class UsbSerial(Record):
    """A USB identity under which the board's serial port shows up."""

    vid: UsbId
    pid: UsbId
    what: str
    source: Source


class Serial(Record):
    """How the host finds the board's serial port; the baud rate is the chip's uart.baud if None."""

    baud: int | None = None
    usb: tuple[UsbSerial, ...] = ()


class FlashMethod(Record):
    """One way to put an image on the board; tried in the order of the record.

    `tool` is a name of edgepack/flash/table.py, `options` are that tool's own (a probe's target
    name, a configuration file, a UF2 family id).
    """

    tool: str
    options: dict[str, Any] = Field(default_factory=dict)
    source: Source


class Post(Record):
    """A form of the image that the board's flash tools take, written beside the ELF.

    `family` is the UF2 family id that the board's boot loader accepts.
    """

    format: Literal["uf2", "hex", "bin"]
    family: Annotated[int, Field(gt=0, le=0xFFFF_FFFF)] | None = None
    source: Source

    @model_validator(mode="after")
    def _check(self) -> Post:
        if (self.format == "uf2") != (self.family is not None):
            raise ValueError("a UF2 file needs `family`, and only a UF2 file has one")
        return self


class Clocking(Record):
    """The board's crystal, for ports that run from it, in Hz.

    `bypass`: there is no crystal, another chip feeds its clock in.
    """

    hse_hz: Hertz
    bypass: bool = False
    source: Source


class Board(Record):
    """A board as edgepack sees it."""

    id: Identifier
    name: str
    soc: Identifier
    kind: Kind
    verified: Verified
    verified_how: str
    emulator: Emulator | None = None
    serial: Serial = Serial()
    flash: tuple[FlashMethod, ...] = ()
    post: tuple[Post, ...] = ()
    crystal: Clocking | None = None
    # Replace the chip's where the board differs: external RAM, a boot loader in front of the image,
    # another UART on the connector.
    memory: tuple[Memory, ...] = ()
    layout: Layout | None = None
    stack: Stack | None = None
    uart: Uart | None = None
    defines: dict[str, str] = Field(default_factory=dict)
    notes: str = ""

    @model_validator(mode="after")
    def _check(self) -> Board:
        if (self.kind is Kind.EMULATED) != (self.emulator is not None):
            raise ValueError("[emulator] belongs to boards of kind 'emulated', and only to those")
        if self.kind is Kind.EMULATED and self.verified is Verified.HARDWARE:
            raise ValueError("an emulated board cannot be verified on hardware")
        if self.memory:
            check_memory(self.memory, self.layout)
        return self
