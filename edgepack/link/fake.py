"""A device in memory: both protocols, any model, and the ways in which a device goes wrong.

Use it wherever a `ByteLink` is wanted and no device is: in tests, and to try a runner out.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgepack.errors import DeviceLostError
from edgepack.link.frames import (
    ARGUMENTS,
    DATA_CHUNK,
    DATA_LAYER,
    DATA_OUTPUT,
    END,
    INFER_DUMP,
    INFER_HOLD,
    INFER_LAYERS,
    PROTOCOL_VERSION,
    START,
    Nak,
    Reply,
    Request,
    decode_request,
    encode_reply,
)
from edgepack.link.messages import TicksKind

BANNER = b"m-timestamp-mode-performance\r\nm-init-done\r\nm-ready\r\n"

# The bytes of all inputs -> the outputs of every layer; the last layer's are the model's outputs.
Layers = list[list[bytes]]


@dataclass(frozen=True)
class FakeModel:
    """What the fake device runs.

    Attributes:
        compute: all inputs, concatenated, to each layer's outputs; the last layer's are the
            model's.
        ticks: that every layer takes.
        status: with which inferences fail; 0 for none.
        reset: brings a model that keeps state to its initial state (INIT, and a restart).
    """

    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    compute: Callable[[bytes], Layers]
    name: str = "fake"
    build_id: str = "0123456789abcdef"
    layers: int = 1
    ticks: int = 1000
    status: int = 0
    reset: Callable[[], None] = lambda: None


@dataclass
class Mishap:
    """What happens to the device, counted in inferences from 0; None: it does not.

    Attributes:
        restart_before: it restarts when told to run this inference.
        silent_before: it says nothing any more.
        vanish_before: its port disappears.
        hang_in: it takes the input and never finishes.
    """

    restart_before: int | None = None
    silent_before: int | None = None
    vanish_before: int | None = None
    hang_in: int | None = None


@dataclass
class _State:
    sequence: int = 0
    verified: bytes = b""
    result: bytes | None = None  # the payload of RESULT without its data
    outputs: bytes = b""
    greeted: bool = False


@dataclass
class FakeDevice:
    """A `ByteLink` with a device behind it.

    Attributes:
        model: what it runs.
        mishap: what goes wrong.
        inferences: made so far.
        hung: it hears nothing until it restarts.
    """

    model: FakeModel
    mishap: Mishap = field(default_factory=Mishap)
    name: str = "fake"
    baud: int = 115200
    inferences: int = 0
    hung: bool = False
    _state: _State = field(default_factory=_State)
    _incoming: bytearray = field(default_factory=bytearray)
    _outgoing: bytearray = field(default_factory=lambda: bytearray(BANNER))
    _silent: bool = False
    _gone: bool = False
    _damaged: bool = False
    _ticks: int = 0

    def read(self, timeout: float) -> bytes:
        """What the device has said; waits out the time-out when there is nothing."""
        self._check()
        if not self._outgoing:
            time.sleep(max(timeout, 0.0))
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def write(self, data: bytes, timeout: float) -> None:
        """The device takes and serves the bytes at once."""
        self._check()
        self._incoming += data
        while not self.hung and (served := self._serve_next()) > 0:
            del self._incoming[:served]
        if self._damaged and self._state.greeted:
            self._nak(Nak.FRAME, len(self._state.verified))  # the line is quiet now
        self._damaged = False
        if self._silent:
            self._outgoing.clear()

    def set_baud(self, baud: int) -> None:
        """Nothing: there is no line."""
        self.baud = baud

    def close(self) -> None:
        """The port is gone for this object."""
        self._gone = True

    def _check(self) -> None:
        if self._gone:
            raise DeviceLostError(
                f"the device at {self.name} is gone", next_step="edgepack devices"
            )

    def _serve_next(self) -> int:
        """Serves one frame or one text command; returns the bytes it took, 0 when none is whole."""
        data = self._incoming
        if not data:
            return 0
        if data[0] == START:
            end = data.find(END)
            if end >= 0:
                self._serve_frame(bytes(data[1:end]))
            return end + 1
        if data[0] == END:
            return 1
        start = data.find(START)
        stop = data.find(b"%")
        if stop >= 0 and (start < 0 or stop < start):
            self._serve_text(bytes(data[:stop]).decode("ascii", "replace").strip())
            return stop + 1
        return max(start, 0)

    def _say(self, kind: Reply, payload: bytes = b"", *, sequence: int | None = None) -> None:
        number = self._state.sequence if sequence is None else sequence
        self._outgoing += encode_reply(kind, number, payload)

    def _nak(self, code: Nak, argument: int = 0, *, sequence: int | None = None) -> None:
        self._say(Reply.NAK, struct.pack("<BI", code, argument), sequence=sequence)

    def _serve_frame(self, raw: bytes) -> None:
        frame = decode_request(raw)
        state = self._state
        self._damaged = frame is None
        if frame is None:
            return
        kind, sequence = Request(frame.kind), frame.sequence
        arguments = ARGUMENTS[kind].unpack_from(frame.body)
        if kind is Request.HELLO:
            self._state = _State(sequence=sequence, greeted=True)
            self._say(Reply.INFO, self._info())
        elif not state.greeted:
            self._nak(Nak.NO_HELLO, sequence=sequence)
        elif kind in (Request.WRITE, Request.INFER):
            self._take(sequence, arguments[0], frame.body[ARGUMENTS[kind].size :])
            if kind is Request.INFER:
                self._infer(sequence, arguments)
        elif kind is Request.READ:
            self._read(sequence, *arguments)
        elif kind is Request.MEMORY:
            self._say(Reply.MEMORY, struct.pack("<6I", 4096, 500, 64, 64, 64, 0), sequence=sequence)
        elif kind is Request.BAUD:
            self._nak(Nak.ARGUMENT, 0, sequence=sequence)
        else:
            if kind is Request.INIT:
                self._state.result, self._state.verified = None, b""
                self.model.reset()
            self._say(Reply.ACK, sequence=sequence)
            if kind is Request.RESET:
                self.restart()

    def _info(self) -> bytes:
        model = self.model
        sizes: Sequence[int] = (*model.input_bytes, *model.output_bytes)
        self._ticks += 1
        return (
            struct.pack(
                "<BBBBBHIIIIQ16s",
                PROTOCOL_VERSION,
                TicksKind.INSTRUCTIONS.value,
                0,
                len(model.input_bytes),
                len(model.output_bytes),
                model.layers,
                1_000_000_000,
                0,
                0,
                64,
                self._ticks,
                model.build_id.encode(),
            )
            + struct.pack(f"<{len(sizes)}I", *sizes)
            + model.name.encode()
            + b"\0"
            + model.name.encode()
            + b"\0"
        )

    def _take(self, sequence: int, offset: int, data: bytes) -> None:
        state = self._state
        if state.result is not None and sequence == state.sequence:
            return
        if offset == 0:
            state.sequence, state.verified, state.result = sequence, b"", None
        if sequence == state.sequence and offset == len(state.verified):
            state.verified += data

    def _infer(self, sequence: int, arguments: tuple[int, ...]) -> None:
        _, crc, flags, repeat, layer, output = arguments
        state = self._state
        if state.result is not None and sequence == state.sequence:
            self._reply_result()
        elif sequence != state.sequence:
            self._nak(Nak.INCOMPLETE, sequence=sequence)
        elif len(state.verified) != sum(self.model.input_bytes):
            self._nak(Nak.INCOMPLETE, len(state.verified))
        elif zlib.crc32(state.verified) != crc:
            self._nak(Nak.INPUT, zlib.crc32(state.verified))
        elif flags & INFER_HOLD:
            self._say(Reply.ACK)
        elif not self._meets_mishap():
            self._run(flags, repeat, (layer, output))

    def _meets_mishap(self) -> bool:
        number, mishap = self.inferences, self.mishap
        if number == mishap.restart_before:
            self.restart()
        elif number == mishap.silent_before:
            self._silent = True
        elif number == mishap.vanish_before:
            self._gone = True
        elif number == mishap.hang_in:
            self._say(Reply.START)
            self.hung = True
        else:
            return False
        return True

    def _run(self, flags: int, repeat: int, dump: tuple[int, int]) -> None:
        state, model = self._state, self.model
        self._say(Reply.START)
        self.inferences += 1
        layers = model.compute(state.verified)
        records = 0
        for layer, outputs in enumerate(layers):
            for output, data in enumerate(outputs):
                dumped = flags & INFER_DUMP and (layer, output) == dump
                if dumped or flags & INFER_LAYERS:
                    records += 1
                    ticks = model.ticks if output == 0 else 0
                    fields = (layer, output, len(data), zlib.crc32(data), ticks)
                    self._say(Reply.LAYER, struct.pack("<HBIIQ", *fields))
                if dumped:
                    self._reply_data(DATA_LAYER, data, 0, len(data))
        ticks = model.ticks * len(layers)
        state.outputs = b"" if model.status else b"".join(layers[-1])
        crc = zlib.crc32(state.verified)
        total = len(state.outputs)
        digest = zlib.crc32(state.outputs)
        state.result = struct.pack("<BBHIQII", model.status, 0, records, crc, ticks, total, digest)
        state.verified = b""
        self._reply_result()
        if repeat:
            times = (0, repeat, ticks, ticks, ticks * repeat)
            self._say(Reply.TIMES, struct.pack("<BHQQQ", *times))
            state.result = None

    def _reply_result(self) -> None:
        state = self._state
        assert state.result is not None
        self._say(Reply.RESULT, state.result + state.outputs[:DATA_CHUNK])
        self._reply_data(DATA_OUTPUT, state.outputs, DATA_CHUNK, len(state.outputs))

    def _reply_data(self, source: int, data: bytes, start: int, stop: int) -> None:
        for offset in range(start, stop, DATA_CHUNK):
            piece = data[offset : min(offset + DATA_CHUNK, stop)]
            self._say(Reply.DATA, struct.pack("<BI", source, offset) + piece)

    def _read(self, sequence: int, offset: int, length: int) -> None:
        state = self._state
        if state.result is None or sequence != state.sequence:
            self._nak(Nak.NO_RESULT, sequence=sequence)
        else:
            self._reply_data(DATA_OUTPUT, state.outputs, offset, offset + length)

    def restart(self) -> None:
        """What a reset does: everything is forgotten, and the banner said again."""
        self._state = _State()
        self._incoming.clear()
        self._ticks = 0
        self.hung = self._silent = self._damaged = False
        self._outgoing += BANNER
        self.model.reset()

    def _serve_text(self, line: str) -> None:
        known = {
            "name": "m-name-dut-[edgepack]",
            "profile": f"m-profile-[fake]\r\nm-model-[{self.model.name}]",
        }
        if self._state.greeted and line not in known:
            return  # the rest of a damaged frame
        self._state.greeted = False
        self._outgoing += f"{known.get(line, f'e-[Unknown command: {line}]')}\r\n".encode()
        self._outgoing += b"m-ready\r\n"
