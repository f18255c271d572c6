"""The contents of replies as frozen records. A payload of another shape is a `ProtocolError`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from edgepack.errors import ProtocolError
from edgepack.link.frames import PROTOCOL_VERSION, Nak, ReplyFrame

_INFO = struct.Struct("<BBBBBHIIIIQ16s")
_NAK = struct.Struct("<BI")
_LAYER = struct.Struct("<HBIIQ")
_DATA = struct.Struct("<BI")
_RESULT = struct.Struct("<BBHIQII")
_TIMES = struct.Struct("<BHQQQ")
_MEMORY = struct.Struct("<6I")

# ep_status of firmware/runtime/ep_runtime.h
STATUS_NAMES = {
    1: "a pointer argument was NULL",
    2: "the arena is smaller than the model needs",
    3: "the arena is not aligned",
    4: "an index in the input is out of range",
    5: "the wrapped runtime failed",
}


class TicksKind(Enum):
    """What the device's counter counts (ep_ticks_kind of firmware/port/ep_port.h)."""

    TIME = 0
    CYCLES = 1
    INSTRUCTIONS = 2


@dataclass(frozen=True)
class DeviceInfo:
    """What a device says of itself.

    Attributes:
        name: the model's C name.
        task: MLPerf Tiny's name of the model ("kws01"), else the C name.
        build_id: 16 hex digits, the same in manifest.json of the image.
        ticks_hz: ticks a second; of virtual time for instructions.
        overhead: ticks that an empty call takes between two readings of the counter.
        uptime: ticks since the device started; it falls when the device restarts.
        max_baud: 0 where the link has no baud rate.
        status: 0, or the ep_status with which the model failed to initialise.
    """

    name: str
    task: str
    build_id: str
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    layers: int
    ticks_kind: TicksKind
    ticks_hz: int
    overhead: int
    arena_bytes: int
    max_baud: int
    uptime: int
    status: int


@dataclass(frozen=True)
class LayerRecord:
    """One output of one layer: ticks since the layer before it, and the CRC-32 of its bytes."""

    layer: int
    output: int
    bytes: int
    crc: int
    ticks: int


@dataclass(frozen=True)
class DataRecord:
    """A piece of the outputs (source 0) or of a dumped layer (source 1)."""

    source: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class ResultRecord:
    """The end of an inference; `data` is the first piece of `total` output bytes.

    output_crc: of all output bytes, so that no piece can belong to another inference.

    `disturbed`: a byte arrived while it ran, so that an interrupt is among the ticks.
    """

    status: int
    disturbed: bool
    layer_frames: int
    input_crc: int
    ticks: int
    total: int
    output_crc: int
    data: bytes


@dataclass(frozen=True)
class TimesRecord:
    """Ticks of `count` more inferences whose outputs are of no interest."""

    disturbed: bool
    count: int
    least: int
    most: int
    total: int


@dataclass(frozen=True)
class MemoryPeaks:
    """Bytes of memory used since the device started or was last painted.

    Attributes:
        stack_bytes: reserved for the stack; 0 when the port cannot tell.
        stack_peak: from the top of the stack to the deepest word changed.
        arena_touched: bytes in words of the arena that changed.
        arena_peak: bytes of the arena outside the longest unchanged run.
        rx_lost: received bytes that the board dropped since it started.
    """

    stack_bytes: int
    stack_peak: int
    arena_bytes: int
    arena_touched: int
    arena_peak: int
    rx_lost: int


@dataclass(frozen=True)
class NakRecord:
    """A refusal; `code` is None for a number that this version does not know."""

    code: Nak | None
    number: int
    argument: int


def _reject(frame: ReplyFrame) -> NoReturn:
    raise ProtocolError(
        f"the device sent a {frame.kind.name} reply of {len(frame.payload)} bytes "
        f"that makes no sense: {frame.payload[:32].hex()}",
        next_step="flash the image of this project again: edgepack flash DIR",
    )


def parse_info(frame: ReplyFrame) -> DeviceInfo:
    """Read an INFO reply.

    Raises:
        ProtocolError: another protocol version, or lengths that do not add up.
    """
    payload = frame.payload
    if payload and payload[0] != PROTOCOL_VERSION:
        raise ProtocolError(
            f"the device speaks version {payload[0]} of the framed protocol",
            allowed=f"version {PROTOCOL_VERSION}",
            next_step="build and flash the project again: edgepack build ... && edgepack flash DIR",
        )
    if len(payload) < _INFO.size:
        _reject(frame)
    _, kind, status, inputs, outputs, layers, hz, overhead, baud, arena, uptime, build = (
        _INFO.unpack_from(payload)
    )
    tail = payload[_INFO.size :]
    if len(tail) < 4 * (inputs + outputs) or kind not in {k.value for k in TicksKind}:
        _reject(frame)
    sizes = struct.unpack_from(f"<{inputs + outputs}I", tail)
    names = tail[4 * (inputs + outputs) :].split(b"\0")
    if len(names) != 3 or names[2] or hz == 0:
        _reject(frame)
    return DeviceInfo(
        name=names[0].decode("ascii", "replace"),
        task=names[1].decode("ascii", "replace"),
        build_id=build.decode("ascii", "replace"),
        input_bytes=sizes[:inputs],
        output_bytes=sizes[inputs:],
        layers=layers,
        ticks_kind=TicksKind(kind),
        ticks_hz=hz,
        overhead=overhead,
        arena_bytes=arena,
        max_baud=baud,
        uptime=uptime,
        status=status,
    )


def parse_nak(frame: ReplyFrame) -> NakRecord:
    """Read a NAK reply."""
    if len(frame.payload) != _NAK.size:
        _reject(frame)
    number, argument = _NAK.unpack(frame.payload)
    known = number in {int(n) for n in Nak}
    return NakRecord(Nak(number) if known else None, number, argument)


def parse_layer(frame: ReplyFrame) -> LayerRecord:
    """Read a LAYER reply."""
    if len(frame.payload) != _LAYER.size:
        _reject(frame)
    return LayerRecord(*_LAYER.unpack(frame.payload))


def parse_data(frame: ReplyFrame) -> DataRecord:
    """Read a DATA reply."""
    if len(frame.payload) <= _DATA.size:
        _reject(frame)
    source, offset = _DATA.unpack_from(frame.payload)
    return DataRecord(source, offset, frame.payload[_DATA.size :])


def parse_result(frame: ReplyFrame) -> ResultRecord:
    """Read a RESULT reply."""
    if len(frame.payload) < _RESULT.size:
        _reject(frame)
    status, flags, frames, crc, ticks, total, output_crc = _RESULT.unpack_from(frame.payload)
    data = frame.payload[_RESULT.size :]
    if len(data) > total:
        _reject(frame)
    return ResultRecord(status, flags != 0, frames, crc, ticks, total, output_crc, data)


def parse_times(frame: ReplyFrame) -> TimesRecord:
    """Read a TIMES reply."""
    if len(frame.payload) != _TIMES.size:
        _reject(frame)
    flags, count, least, most, total = _TIMES.unpack(frame.payload)
    return TimesRecord(flags != 0, count, least, most, total)


def parse_memory(frame: ReplyFrame) -> MemoryPeaks:
    """Read a MEMORY reply."""
    if len(frame.payload) != _MEMORY.size:
        _reject(frame)
    return MemoryPeaks(*_MEMORY.unpack(frame.payload))
