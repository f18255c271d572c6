"""A session with the fake device: results, layers, and every way in which a device goes wrong."""

from __future__ import annotations

import struct
import zlib

import pytest

from edgepack.bench.device import Job
from edgepack.bench.session import Session
from edgepack.errors import (
    DataError,
    DeviceError,
    DeviceLostError,
    DeviceSilentError,
    EdgepackError,
    ProtocolError,
    WrongImageError,
)
from edgepack.link.fake import FakeDevice, FakeModel, Mishap
from edgepack.link.faulty import FaultRates, FaultyLink, LineFaults
from edgepack.link.framed import LinkTiming
from edgepack.link.frames import DATA_OUTPUT, Reply, encode_reply

# Short waits: the fake answers at once or never.
TIMING = LinkTiming(hello=0.6, reply=0.02, settle=0.005, inference=0.2, slowest=1e6)
INPUTS, OUTPUTS = (2000, 7), (600, 3)


def compute(data: bytes) -> list[list[bytes]]:
    middle = bytes((b * 7 + i) & 255 for i, b in enumerate(data))
    return [[middle], [middle[:600], middle[-3:]]]


MODEL = FakeModel(INPUTS, OUTPUTS, compute, layers=2)


def sample(seed: int) -> bytes:
    return bytes((seed * 31 + i * i) & 255 for i in range(sum(INPUTS)))


def expected(data: bytes) -> bytes:
    return b"".join(compute(data)[-1])


def open_fake(mishap: Mishap | None = None, model: FakeModel = MODEL) -> tuple[FakeDevice, Session]:
    device = FakeDevice(model, mishap or Mishap())
    return device, Session(device, timing=TIMING)


def test_identifies_the_device() -> None:
    _, session = open_fake()
    info = session.info
    assert (info.name, info.build_id) == ("fake", "0123456789abcdef")
    assert (info.input_bytes, info.output_bytes, info.layers) == (INPUTS, OUTPUTS, 2)
    assert (session.counter.kind, session.counter.hz) == ("instructions", 1_000_000_000)


def test_runs_samples_in_order() -> None:
    device, session = open_fake()
    jobs = [Job(i, sample(i)) for i in (3, 4, 9)]
    results = list(session.run(jobs))
    assert [r.index for r in results] == [3, 4, 9]
    assert [r.outputs for r in results] == [expected(j.payload) for j in jobs]
    assert {r.ticks for r in results} == {2000}
    assert device.inferences == 3
    facts = session.facts()
    assert (facts.stack_peak, facts.arena_peak) == (500, 64)
    assert facts.layer_ticks == [1000, 1000]


def test_layers_and_tensors() -> None:
    _, session = open_fake()
    data = sample(1)
    layers = compute(data)
    digests = [(r.layer, r.output, r.bytes, r.crc) for r in session.layer_digests(data)]
    assert digests == [
        (i, j, len(out), zlib.crc32(out))
        for i, outs in enumerate(layers)
        for j, out in enumerate(outs)
    ]
    assert session.read_layer(data, 0) == layers[0][0]
    assert session.read_layer(data, 1, 1) == layers[1][1]
    times = session.time(data, 5)
    assert (times.count, times.least, times.mean, times.most) == (5, 2000, 2000.0, 2000)


def test_an_absent_layer_is_named() -> None:
    _, session = open_fake()
    with pytest.raises(DeviceError, match="no output 0 of layer 9"):
        session.read_layer(sample(0), 9)


def test_wrong_image() -> None:
    _, session = open_fake()
    session.verify("0123456789abcdef", INPUTS, OUTPUTS)
    with pytest.raises(WrongImageError, match="build 0123456789abcdef"):
        session.verify("f" * 16, INPUTS, OUTPUTS)
    with pytest.raises(WrongImageError):
        session.verify("0123456789abcdef", (1,), OUTPUTS)


def test_wrong_sample_size() -> None:
    _, session = open_fake()
    with pytest.raises(DataError, match="2006 bytes"):
        session.infer(sample(0)[:-1])


def test_a_failed_inference_is_a_device_error() -> None:
    _, session = open_fake(model=FakeModel(INPUTS, OUTPUTS, compute, status=4))
    with pytest.raises(DeviceError, match="out of range"):
        session.infer(sample(0))


@pytest.mark.parametrize(
    ("mishap", "error", "says"),
    [
        (Mishap(restart_before=2), DeviceLostError, "restarted"),
        (Mishap(silent_before=2), DeviceSilentError, "no result"),
        (Mishap(vanish_before=2), DeviceLostError, "is gone"),
        (Mishap(hang_in=2), DeviceSilentError, "did not end within"),
    ],
    ids=["restart", "silence", "vanish", "hang"],
)
def test_mishaps_in_the_middle_are_typed_and_keep_what_was_done(
    mishap: Mishap, error: type[EdgepackError], says: str
) -> None:
    _, session = open_fake(mishap)
    done = []
    with pytest.raises(error, match=says) as caught:
        for result in session.run(Job(i, sample(i)) for i in range(5)):
            done.append(result)
    assert [r.outputs for r in done] == [expected(sample(i)) for i in range(2)]
    assert caught.value.next_step


def test_a_restart_is_noticed_even_when_its_banner_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device, session = open_fake(Mishap(restart_before=1))
    session.infer(sample(0))
    send = device.write

    def write(data: bytes, timeout: float) -> None:
        send(data, timeout)
        device._outgoing.clear()

    monkeypatch.setattr(device, "write", write)
    with pytest.raises(EdgepackError):
        session.infer(sample(1))
    monkeypatch.undo()
    with pytest.raises(DeviceLostError, match="restarted"):
        session.infer(sample(1))


class _Mute(FakeDevice):
    """A device that only ever says one thing."""

    said = b""

    def write(self, data: bytes, timeout: float) -> None:
        self._outgoing += self.said


def test_nobody_there() -> None:
    device = _Mute(MODEL, _outgoing=bytearray())
    with pytest.raises(DeviceSilentError, match="nothing was received"):
        Session(device, timing=TIMING)


def test_a_device_with_the_text_protocol_only() -> None:
    device = _Mute(MODEL)
    device.said = b"e-[Unknown command: x]\r\nm-ready\r\n"
    with pytest.raises(ProtocolError, match="text protocol"):
        Session(device, timing=TIMING)


def test_a_device_that_floods_garbage() -> None:
    device = _Mute(MODEL)
    device.said = bytes(range(256)) * 40
    with pytest.raises(DeviceSilentError, match="did not introduce itself"):
        Session(device, timing=TIMING)


def test_a_crash_report_is_passed_on() -> None:
    device, session = open_fake()
    device._outgoing += b"e-[FAULT pc=08001234 lr=0 cause=00000001]\r\n"
    with pytest.raises(DeviceLostError, match="pc=08001234"):
        session.infer(sample(0))


@pytest.mark.parametrize("seed", range(30))
def test_no_false_result_on_a_broken_line(seed: int) -> None:
    """Each result that is delivered is right; on these lines all of them get through."""
    rates = FaultRates(drop=1e-4, double=1e-4, flip=1e-4, garbage=1e-4)
    device = FakeDevice(MODEL)
    line = FaultyLink(device, rates, rates, seed)
    session = Session(line, timing=TIMING)
    for number in range(4):
        data = sample(seed * 10 + number)
        assert session.infer(data).outputs == expected(data)
    data = sample(seed)
    assert session.read_layer(data, 0) == compute(data)[0][0]
    session.memory()


@pytest.mark.parametrize("offset", [0, 256, 300, 590])
def test_a_piece_of_another_inference_is_not_taken_for_this_ones(
    monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    """A frame with a right CRC and the right number, as an adapter may keep of another session."""
    device, session = open_fake()
    send = device.write
    spoilt = 0

    def write(data: bytes, timeout: float) -> None:
        nonlocal spoilt
        send(data, timeout)
        if spoilt < 2 and len(device._outgoing) > 500:
            spoilt += 1
            piece = struct.pack("<BI", DATA_OUTPUT, offset) + b"stale bytes"
            frame = encode_reply(Reply.DATA, device._state.sequence, piece)
            device._outgoing[:] = frame + device._outgoing + frame

    monkeypatch.setattr(device, "write", write)
    data = sample(3)
    assert session.infer(data).outputs == expected(data)
    assert session.infer(sample(4)).outputs == expected(sample(4))
    assert spoilt == 2


def test_sequence_numbers_go_on_from_session_to_session() -> None:
    """What is still on its way from an earlier session answers nothing in the next."""
    device = FakeDevice(MODEL)
    used = []
    for _ in range(2):
        session = Session(device, timing=TIMING)
        session.infer(sample(0))
        used.append({session._client.next_sequence() for _ in range(100)})
    assert not used[0] & used[1]


def test_a_line_that_swallows_everything_ends_in_an_error() -> None:
    _, session = open_fake()
    device = FakeDevice(MODEL)
    line = FaultyLink(device, FaultRates(), FaultRates(), 0)
    session = Session(line, timing=TIMING)
    line.to_device = LineFaults(FaultRates(drop=1.0), 0)
    with pytest.raises(DeviceSilentError):
        session.infer(sample(0))
    with pytest.raises(DeviceSilentError):
        session.memory()
