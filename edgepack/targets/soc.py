"""The record of a chip (or of an FPGA image, or of this computer): targets/soc/<id>.toml."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgepack.targets.record import Address, ByteCount, Hertz, Identifier, Record, Source


class Cpu(Record):
    """The core. `isa` names the extensions that kernels may use: `dsp`, `mve`, `fp16`, ..."""

    core: str
    arch: str
    fpu: Literal["none", "single", "double"]
    isa: tuple[str, ...] = ()
    source: Source


class Clock(Record):
    """The core clock that the port sets up, in Hz; None where it is not known (the host)."""

    hz: Hertz | None = None
    how: str
    source: Source


class Memory(Record):
    """One memory region as the core sees it. `speed` says what an access costs."""

    name: Identifier
    kind: Literal["flash", "ram"]
    origin: Address
    size: ByteCount
    speed: str
    source: Source

    @property
    def end(self) -> int:
        """The first address behind the region."""
        return self.origin + self.size


class Layout(Record):
    """Which region holds what; `weights` are the model's constants.

    `boot` holds what the chip's ROM reads before it enters the code (`[boot]`); without it, that
    stands behind the vector table.
    """

    boot: Identifier | None = None
    code: Identifier
    weights: Identifier
    data: Identifier
    arena: Identifier
    stack: Identifier


class Uart(Record):
    """The serial port of the bench firmware. Baud rates in bits a second, 8N1."""

    kind: str
    base: Address | None = None
    irq: Annotated[int, Field(ge=0)] | None = None
    clock_hz: Hertz | None = None
    baud: int | None = None
    max_baud: int | None = None
    rx_buffer: ByteCount
    pins: str
    source: Source


class Counter(Record):
    """One way in which `ep_port_ticks` counts.

    Attributes:
        where: on real hardware, in the emulator, or on the host.
        unit: what one tick is.
        hz: ticks a second, of virtual time for instructions.
        resolution: a reading is true to this many ticks.
        bits: width after extension by the port.
        wrap_ticks: longest distance between two readings, in ticks.
    """

    name: str
    where: Literal["hardware", "emulated", "host"]
    unit: Literal["cycles", "instructions", "nanoseconds"]
    hz: Hertz
    resolution: Annotated[int, Field(ge=1)]
    bits: Annotated[int, Field(ge=16, le=64)]
    wrap_ticks: Annotated[int, Field(gt=0)]
    source: Source


class Port(Record):
    """The C sources of the port, relative to firmware/, and constants they need.

    `defines` are facts of the chip that only this port knows; they cite `source`.
    """

    sources: tuple[str, ...]
    include_dirs: tuple[str, ...]
    defines: dict[str, str] = Field(default_factory=dict)
    source: Source


class CompilerFlags(Record):
    """How one compiler is told about the chip: the program's prefix (gcc) and its flags.

    For esp-idf `prefix` is IDF's name of the chip, and `flags` are further lines of
    sdkconfig.defaults.
    """

    prefix: str = ""
    flags: tuple[str, ...]
    libs: tuple[str, ...] = ()


class Boot(Record):
    """What the chip's ROM demands of an image before it runs it; see toolchain/boot_block.py."""

    kind: Literal["rp2040-boot2", "rp2350-image-def", "imxrt-flexspi"]
    source: Source


class Stack(Record):
    """Bytes reserved for the stack, and why so many."""

    bytes: ByteCount
    why: str


class Soc(Record):
    """A chip as edgepack sees it."""

    id: Identifier
    name: str
    cpu: Cpu
    clock: Clock
    memory: tuple[Memory, ...] = ()
    layout: Layout | None = None
    boot: Boot | None = None
    uart: Uart
    counter: tuple[Counter, ...]
    port: Port
    stack: Stack
    toolchain: dict[Literal["gcc", "clang", "zig", "host", "esp-idf"], CompilerFlags]

    @model_validator(mode="after")
    def _check(self) -> Soc:
        check_memory(self.memory, self.layout)
        if not self.counter:
            raise ValueError("needs at least one [[counter]]")
        if not self.toolchain:
            raise ValueError("needs at least one [toolchain.<name>]")
        return self


def check_memory(memory: tuple[Memory, ...], layout: Layout | None) -> None:
    """Refuse regions that overlap or a layout that names none of them.

    Raises:
        ValueError: which region is wrong.
    """
    names = [region.name for region in memory]
    if len(set(names)) != len(names):
        raise ValueError(f"memory regions have the same name: {names}")
    ordered = sorted(memory, key=lambda region: region.origin)
    for before, after in itertools.pairwise(ordered):
        if before.end > after.origin:
            raise ValueError(f"memory regions {before.name} and {after.name} overlap")
    if (layout is None) != (not memory):
        raise ValueError("[layout] and [[memory]] only make sense together")
    if layout is None:
        return
    kinds = {region.name: region.kind for region in memory}
    for use, name in layout:
        if name is None:
            continue
        if name not in kinds:
            raise ValueError(f"layout.{use} names {name}, which is none of {names}")
        if use in ("data", "arena", "stack") and kinds[name] != "ram":
            raise ValueError(f"layout.{use} names {name}, which is not RAM")
