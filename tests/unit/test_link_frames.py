"""The framed extension's codec: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import itertools
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepack.link import frames
from edgepack.link.frames import (
    ARGUMENTS,
    Nak,
    Reply,
    ReplyScanner,
    Request,
    cobs_decode,
    cobs_encode,
    decode_request,
    encode_reply,
    encode_request,
)
from edgepack.resources import firmware_dir

# Runs of zeros and of nothing else are what COBS is about; 254 is its block length.
_PAYLOADS = st.one_of(
    st.binary(max_size=600),
    st.lists(st.sampled_from([b"\0", b"\xa5", b"\x01" * 253, b"\x02" * 254, b"\x03" * 255])).map(
        b"".join
    ),
)
_REPLIES = st.tuples(st.sampled_from(list(Reply)), st.integers(0, 0xFFFF), st.binary(max_size=300))


@given(_PAYLOADS)
def test_cobs_removes_zeros_and_comes_back(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert len(encoded) <= len(data) + 1 + len(data) // 254
    assert cobs_decode(encoded) == data


@given(st.binary(max_size=400))
def test_cobs_decoder_survives_anything(data: bytes) -> None:
    decoded = cobs_decode(data)
    assert decoded is None or len(decoded) <= len(data)


@given(st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), _PAYLOADS)
def test_request_comes_back(sequence: int, offset: int, data: bytes) -> None:
    wire = encode_request(Request.WRITE, sequence, offset, data=data)
    assert wire[0] == frames.START
    assert wire[-1] == frames.END
    assert 0 not in wire[:-1]
    frame = decode_request(wire[1:-1])
    assert frame is not None
    assert (frame.kind, frame.sequence) == (Request.WRITE, sequence)
    assert frame.body == ARGUMENTS[Request.WRITE].pack(offset) + data


@given(_PAYLOADS, st.data())
def test_damaged_request_is_rejected(data: bytes, choice: st.DataObject) -> None:
    wire = bytearray(encode_request(Request.WRITE, 7, 0, data=data)[1:-1])
    position = choice.draw(st.integers(0, len(wire) - 1))
    wire[position] ^= 1 << choice.draw(st.integers(0, 7))
    assert decode_request(bytes(wire)) is None


def _feed_in_pieces(
    scanner: ReplyScanner, stream: bytes, cuts: list[int]
) -> tuple[list[tuple[Reply, int, bytes]], bytes]:
    found, text = [], b""
    bounds = sorted({0, len(stream), *(c % (len(stream) + 1) for c in cuts)})
    for start, stop in itertools.pairwise(bounds):
        replies, rest = scanner.feed(stream[start:stop])
        found += [(r.kind, r.sequence, r.payload) for r in replies]
        text += rest
    return found, text


@given(
    st.lists(st.tuples(st.binary(max_size=60), _REPLIES), max_size=6),
    st.lists(st.integers(0, 10_000), max_size=20),
)
def test_scanner_finds_replies_between_noise_whatever_the_pieces(
    parts: list[tuple[bytes, tuple[Reply, int, bytes]]], cuts: list[int]
) -> None:
    stream = b"".join(noise + encode_reply(*reply) for noise, reply in parts)
    scanner = ReplyScanner()
    found, text = _feed_in_pieces(scanner, stream, cuts)
    assert found == [reply for _, reply in parts]
    assert text + scanner.give_up() == b"".join(noise for noise, _ in parts)


@given(_REPLIES, st.data())
def test_damaged_reply_is_never_delivered(
    reply: tuple[Reply, int, bytes], choice: st.DataObject
) -> None:
    wire = bytearray(encode_reply(*reply))
    position = choice.draw(st.integers(0, len(wire) - 1))
    wire[position] ^= 1 << choice.draw(st.integers(0, 7))
    good = encode_reply(Reply.ACK, 9)
    replies, _ = ReplyScanner().feed(bytes(wire) + good)
    # what comes after the damage is found, the damaged one is not
    assert [(r.kind, r.sequence) for r in replies] == [(Reply.ACK, 9)]


@given(st.binary(min_size=1, max_size=200), st.integers(50, 200))
def test_scanner_holds_back_no_more_than_one_reply(piece: bytes, times: int) -> None:
    noise = piece * times
    scanner = ReplyScanner()
    _, text = scanner.feed(noise)
    assert len(noise) - len(text) <= frames.MAX_PAYLOAD + 16


def test_crc_is_that_of_ieee_802_3() -> None:
    # the check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert encode_reply(Reply.ACK, 0x0201)[-4:] == zlib.crc32(b"\x82\x01\x02\0\0").to_bytes(
        4, "little"
    )


def _firmware_numbers(prefix: str) -> dict[str, int]:
    text = (firmware_dir() / "bench" / "ep_wire.h").read_text(encoding="utf-8")
    pattern = rf"#define EP_{prefix}_([A-Z_]+) (0x[0-9A-Fa-f]+|\d+)u"
    return {name: int(value, 0) for name, value in re.findall(pattern, text)}


@pytest.mark.parametrize(
    ("prefix", "table"), [("REQ", Request), ("REP", Reply), ("NAK", Nak)], ids=str
)
def test_firmware_has_the_same_numbers(
    prefix: str, table: type[Request] | type[Reply] | type[Nak]
) -> None:
    assert _firmware_numbers(prefix) == {m.name: m.value for m in table}


def test_firmware_has_the_same_headers_and_limits() -> None:
    headers = _firmware_numbers("HEADER")
    sizes = {kind.name: 3 + arguments.size for kind, arguments in ARGUMENTS.items()}
    plain = headers.pop("PLAIN")
    assert {name: sizes.pop(name) for name in headers} == headers
    assert set(sizes.values()) == {plain}
    assert _firmware_numbers("INFER") == {
        "LAYERS": frames.INFER_LAYERS,
        "DUMP": frames.INFER_DUMP,
        "HOLD": frames.INFER_HOLD,
    }
    assert _firmware_numbers("DATA") == {
        "OUTPUT": frames.DATA_OUTPUT,
        "LAYER": frames.DATA_LAYER,
        "CHUNK": frames.DATA_CHUNK,
    }
    assert _firmware_numbers("FRAME") == {"START": frames.START, "END": frames.END}
    assert _firmware_numbers("PROTOCOL") == {"VERSION": frames.PROTOCOL_VERSION}
