"""The framed extension's bytes: both directions, both ends (docs/protocol.md).

A request is `START, COBS(type, sequence, arguments, data, crc32), 0`: the end mark cannot occur
inside, so a device resynchronises at the next zero without a clock. COBS: Cheshire and Baker,
"Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999. A reply is
`START, type, sequence, length, payload, crc32`; the host has the memory to search for it at every
offset. The CRC is IEEE 802.3's, as zlib computes it. Little-endian throughout.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

PROTOCOL_VERSION = 2
START = 0xA5
END = 0x00
DATA_CHUNK = 256  # most data bytes of one DATA or RESULT frame: little is lost with each
MAX_PAYLOAD = 4096  # a longer reply is no reply: INFO of a model with 500 tensors still fits

_SEQUENCE = struct.Struct("<BH")
_REPLY = struct.Struct("<BHH")
_CRC = struct.Struct("<I")
_REPLY_OVERHEAD = 1 + _REPLY.size + _CRC.size


class Request(IntEnum):
    """Frames from the host."""

    HELLO = 0x01
    WRITE = 0x02
    INFER = 0x03
    READ = 0x04
    INIT = 0x05
    MEMORY = 0x06
    BAUD = 0x07
    RESET = 0x08


class Reply(IntEnum):
    """Frames from the device."""

    INFO = 0x81
    ACK = 0x82
    NAK = 0x83
    START = 0x84
    LAYER = 0x85
    DATA = 0x86
    RESULT = 0x87
    TIMES = 0x88
    MEMORY = 0x89


class Nak(IntEnum):
    """Why the device refused a request."""

    FRAME = 1
    INCOMPLETE = 2
    INPUT = 3
    NO_HELLO = 4
    UNKNOWN = 5
    ARGUMENT = 6
    NO_RESULT = 7
    UNSUPPORTED = 8
    MODEL = 9


INFER_LAYERS = 0x01
INFER_DUMP = 0x02
INFER_HOLD = 0x80
INIT_PAINT = 0x01
DATA_OUTPUT = 0
DATA_LAYER = 1

# Arguments of each request after its type and sequence number.
ARGUMENTS: dict[Request, struct.Struct] = {
    Request.HELLO: struct.Struct("<"),
    Request.WRITE: struct.Struct("<I"),
    Request.INFER: struct.Struct("<IIBHHB"),
    Request.READ: struct.Struct("<II"),
    Request.INIT: struct.Struct("<B"),
    Request.MEMORY: struct.Struct("<"),
    Request.BAUD: struct.Struct("<I"),
    Request.RESET: struct.Struct("<"),
}

_REPLY_TYPES = frozenset(int(r) for r in Reply)


@dataclass(frozen=True)
class RequestFrame:
    """A request whose CRC was right, as a device sees it."""

    kind: int
    sequence: int
    body: bytes


@dataclass(frozen=True)
class ReplyFrame:
    """A reply whose CRC was right."""

    kind: Reply
    sequence: int
    payload: bytes


def cobs_encode(data: bytes) -> bytes:
    """The same data without a zero byte: at most one byte longer per 254, and at least one."""
    out = bytearray()
    blocks = data.split(b"\0")
    for index, block in enumerate(blocks):
        while len(block) >= 254:
            out += b"\xff" + block[:254]
            block = block[254:]
            if not block and index == len(blocks) - 1:
                return bytes(out)  # a full last block needs no empty one after it
        out.append(len(block) + 1)
        out += block
    return bytes(out)


def cobs_decode(data: bytes) -> bytes | None:
    """The inverse of `cobs_encode`; None when a block is cut short or a zero occurs."""
    out = bytearray()
    position = 0
    while position < len(data):
        code = data[position]
        block = data[position + 1 : position + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            return None
        out += block
        position += code
        if code != 0xFF and position < len(data):
            out.append(0)
    return bytes(out)


def encode_request(
    kind: Request, sequence: int, *arguments: int, data: bytes | memoryview = b""
) -> bytes:
    """One request as it goes onto the line."""
    body = _SEQUENCE.pack(kind, sequence) + ARGUMENTS[kind].pack(*arguments) + bytes(data)
    return b"\xa5" + cobs_encode(body + _CRC.pack(zlib.crc32(body))) + b"\0"


def decode_request(frame: bytes) -> RequestFrame | None:
    """What stands between START and END, or None when it is damaged."""
    body = cobs_decode(frame)
    if body is None or len(body) < _SEQUENCE.size + _CRC.size:
        return None
    if zlib.crc32(body[:-4]) != _CRC.unpack(body[-4:])[0]:
        return None
    kind, sequence = _SEQUENCE.unpack_from(body)
    return RequestFrame(kind, sequence, body[_SEQUENCE.size : -4])


def encode_reply(kind: Reply, sequence: int, payload: bytes = b"") -> bytes:
    """One reply as it goes onto the line."""
    body = _REPLY.pack(kind, sequence, len(payload)) + payload
    return bytes([START]) + body + _CRC.pack(zlib.crc32(body))


class ReplyScanner:
    """Finds replies in a stream that may hold text, noise and damaged frames between them.

    It never commits to a frame before its CRC is right: every START is a candidate, and what turns
    out not to be a frame is searched again. What is not part of a frame comes out as text.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a reply may have begun."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> tuple[list[ReplyFrame], bytes]:
        """Take more of the stream.

        Returns:
            The replies completed, and the bytes that are certainly not part of a reply.
        """
        self._buffer += data
        replies: list[ReplyFrame] = []
        text = bytearray()
        while True:
            found = self._first_reply()
            if found is None:
                break
            start, end, reply = found
            replies.append(reply)
            text += self._buffer[:start]
            del self._buffer[:end]
        pending = self._first_pending()
        text += self._buffer[:pending]
        del self._buffer[:pending]
        return replies, bytes(text)

    def give_up(self) -> bytes:
        """Forget a reply that has begun; returns its bytes. Called when the line fell silent."""
        text = bytes(self._buffer)
        self._buffer.clear()
        return text

    def _first_reply(self) -> tuple[int, int, ReplyFrame] | None:
        start = self._buffer.find(START)
        while start >= 0:
            end = self._end_of(start)
            if end is not None and end <= len(self._buffer):
                body = bytes(self._buffer[start + 1 : end - 4])
                if zlib.crc32(body) == _CRC.unpack_from(self._buffer, end - 4)[0]:
                    kind, sequence, _ = _REPLY.unpack_from(body)
                    reply = ReplyFrame(Reply(kind), sequence, body[_REPLY.size :])
                    return start, end, reply
            start = self._buffer.find(START, start + 1)
        return None

    def _first_pending(self) -> int:
        start = self._buffer.find(START)
        while start >= 0:
            end = self._end_of(start)
            if end is not None and end > len(self._buffer):
                return start
            start = self._buffer.find(START, start + 1)
        return len(self._buffer)

    def _end_of(self, start: int) -> int | None:
        """Where a reply at `start` would end; None when none can be there."""
        if len(self._buffer) <= start + 1:
            return start + _REPLY_OVERHEAD
        if self._buffer[start + 1] not in _REPLY_TYPES:
            return None
        if len(self._buffer) < start + 1 + _REPLY.size:
            return start + _REPLY_OVERHEAD
        length: int = _REPLY.unpack_from(self._buffer, start + 1)[2]
        return start + _REPLY_OVERHEAD + length if length <= MAX_PAYLOAD else None
