"""One inference over the framed link: input in verified chunks, result out, on any line."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, field

from edgepack.errors import DeviceError, DeviceLostError, DeviceSilentError, ProtocolError
from edgepack.link.framed import FramedClient
from edgepack.link.frames import (
    DATA_CHUNK,
    DATA_LAYER,
    DATA_OUTPUT,
    INFER_HOLD,
    Nak,
    Reply,
    ReplyFrame,
    Request,
    encode_request,
)
from edgepack.link.inference import Outcome, Wanted
from edgepack.link.messages import (
    STATUS_NAMES,
    LayerRecord,
    ResultRecord,
    TimesRecord,
    parse_data,
    parse_layer,
    parse_nak,
    parse_result,
    parse_times,
)

_MOST_CHUNK = 1024  # input bytes of one frame
_LEAST_CHUNK = 64
_FIRST_POLL = 10.0  # seconds without a word after START, before an inference's duration is known
_POLL_FACTOR = 5.0  # later: so many times the longest inference seen


@dataclass
class _Progress:
    """What has come back of one inference so far."""

    dumped: dict[int, bytes]
    result: ResultRecord | None = None
    holding: bool = False  # what was sent last only uploads, and is answered by ACK
    started: bool = False
    confirmed: int = 0  # input bytes that the device has said to hold
    outputs: dict[int, bytes] = field(default_factory=dict)
    layers: list[LayerRecord] = field(default_factory=list)
    times: TimesRecord | None = None


@dataclass(frozen=True)
class _Sample:
    """One input under its sequence number."""

    data: bytes
    sequence: int
    crc: int
    wanted: Wanted


class _AgainError(Exception):
    """The inference ran, but not everything wanted of it arrived: run it once more."""


class Transfer:
    """Runs inferences through a client.

    Args:
        client: a client that has said hello.
        output_total: bytes of all outputs, as the device stated them.
        stateful: an inference changes the model's state, so that none may be made twice.
    """

    def __init__(self, client: FramedClient, output_total: int, *, stateful: bool = False) -> None:
        self._client = client
        self._output_total = output_total
        self._stateful = stateful
        self._longest = 0.0
        self._chunk = _MOST_CHUNK

    def infer(self, data: bytes, wanted: Wanted | None = None) -> Outcome:
        """Send an input and run it.

        Args:
            data: all input tensors, concatenated.
            wanted: what else it is to yield.

        Raises:
            DeviceSilentError: the line swallows every attempt, or the inference hangs.
            DeviceLostError: the device restarted or the port is gone; or part of the result is, and
                a stateful model cannot compute it again.
            DeviceError: the model failed.
        """
        wanted = wanted or Wanted()
        dumped: dict[int, bytes] = {}  # pieces survive a repetition: the layer's CRC confirms them
        for _ in range(self._client.timing.attempts):
            try:
                return self._once(data, wanted, dumped)
            except _AgainError as again:
                if self._stateful:
                    raise DeviceLostError(
                        f"the line to {self._client.link.name} lost part of an inference, and a "
                        "model that keeps state cannot make it twice",
                        next_step="run the same command again from the first sample",
                    ) from again
        raise self._client.silent("complete and undisturbed result")

    def _once(self, data: bytes, wanted: Wanted, dumped: dict[int, bytes]) -> Outcome:
        sequence = self._client.next_sequence()
        self._client.stream.drop()
        progress = _Progress(dumped)
        sample = _Sample(data, sequence, zlib.crc32(data), wanted)
        self._send(sample, 0, hold=False)
        began = time.monotonic()
        self._await_result(sample, progress)
        self._longest = max(self._longest, time.monotonic() - began)
        assert progress.result is not None
        if progress.result.disturbed:
            raise _AgainError
        if progress.result.status != 0:
            raise self._failed(progress.result.status)
        if progress.result.total != self._output_total:
            raise ProtocolError(
                f"the device at {self._client.link.name} sent {progress.result.total} output bytes",
                allowed=f"{self._output_total}, as it said at first",
            )
        self._await_rest(sample, progress)
        return self._outcome(wanted, progress)

    def upload(self, data: bytes) -> bytes:
        """The burst that loads an input and runs nothing: the device answers ACK when it is whole.

        For measurements of the link.
        """
        sample = _Sample(data, self._client.next_sequence(), zlib.crc32(data), Wanted())
        return self._burst(sample, 0, hold=True)

    def _send(self, sample: _Sample, offset: int, *, hold: bool) -> None:
        """All chunks from `offset` on, the last of them with the order to run, or to hold."""
        self._client.send(self._burst(sample, offset, hold=hold))

    def _burst(self, sample: _Sample, offset: int, *, hold: bool) -> bytes:
        data, wanted = sample.data, sample.wanted
        view = memoryview(data)
        burst = bytearray()
        while len(data) - offset > self._chunk:
            piece = view[offset : offset + self._chunk]
            burst += encode_request(Request.WRITE, sample.sequence, offset, data=piece)
            offset += len(piece)
        layer, output = wanted.dump or (0, 0)
        flags = wanted.flags | (INFER_HOLD if hold else 0)
        arguments = (offset, sample.crc, flags, wanted.repeat, layer, output)
        burst += encode_request(Request.INFER, sample.sequence, *arguments, data=view[offset:])
        return bytes(burst)

    def _await_result(self, sample: _Sample, progress: _Progress) -> None:
        """Until RESULT.

        The first attempt is one burst that ends in the order to run. Whatever goes wrong with it is
        put right by bursts that end in HOLD, which never start a run; when ACK says that the input
        is complete, the order to run goes out alone. So a run is only overlapped by our own bytes,
        which would be counted, when the device was quiet for so long that it had to be asked; its
        result then says so.
        """
        timing = self._client.timing
        start_wait = self._start_wait(len(sample.data))
        heard = time.monotonic()
        futile = 0  # sends since the device last confirmed more of the input
        while progress.result is None:
            wait = self._poll_after() if progress.started else start_wait
            reply = self._client.stream.next(wait, timing.settle)
            if reply is None:
                if time.monotonic() - heard > timing.inference and progress.started:
                    raise self._hung()
                offset: int | None = len(sample.data)  # no data: asks how things stand
                hold = True
            else:
                heard = time.monotonic()
                offset, hold = self._take(reply, sample, progress)
            if offset is None or self._client.stream.waiting:
                continue  # what the device said later counts
            futile += 1
            if reply is not None and offset > progress.confirmed:
                progress.confirmed = offset
                futile = 0
            if futile > timing.attempts:
                raise self._client.silent("result")
            progress.holding = hold
            self._send(sample, offset, hold=hold)
            start_wait = self._start_wait(len(sample.data) - offset)

    def _start_wait(self, count: int) -> float:
        """Seconds after which `count` input bytes should have been answered."""
        return self._client.send_seconds(count) + self._client.timing.reply

    def _poll_after(self) -> float:
        """Seconds of quiet after START: long enough not to disturb an inference that is counted."""
        limit = self._client.timing.inference
        if self._longest == 0.0:
            return min(_FIRST_POLL, limit / 3)
        return min(max(self._client.timing.reply, _POLL_FACTOR * self._longest), limit / 3)

    def _take(
        self, reply: ReplyFrame, sample: _Sample, progress: _Progress
    ) -> tuple[int | None, bool]:
        """Sort a reply in.

        Returns:
            The offset from which to send the input again (None: send nothing), and whether to hold.
        """
        if reply.kind is Reply.NAK:
            return self._take_nak(reply, sample, progress), True
        if reply.sequence != sample.sequence:
            return None, True
        if reply.kind is Reply.START:
            progress.started = True
            progress.layers.clear()
        elif reply.kind is Reply.ACK and progress.holding:
            progress.started = False
            return len(sample.data), False
        elif reply.kind is Reply.LAYER:
            progress.layers.append(parse_layer(reply))
        elif reply.kind is Reply.DATA:
            piece = parse_data(reply)
            place = {DATA_OUTPUT: progress.outputs, DATA_LAYER: progress.dumped}.get(piece.source)
            if place is not None:
                place[piece.offset] = piece.data
        elif reply.kind is Reply.RESULT:
            result = parse_result(reply)
            if result.input_crc == sample.crc:
                progress.result = result
                progress.outputs[0] = result.data
        elif reply.kind is Reply.TIMES:
            progress.times = parse_times(reply)
        return None, True

    def _take_nak(self, reply: ReplyFrame, sample: _Sample, progress: _Progress) -> int | None:
        nak = parse_nak(reply)
        mine = reply.sequence == sample.sequence
        if nak.code is Nak.FRAME:
            if progress.started:
                return None  # about something older: the input had arrived
            self._shrink()
            return min(nak.argument, len(sample.data)) if mine else 0
        if not mine:
            return None
        if nak.code is Nak.INCOMPLETE:
            self._shrink()
            progress.started = False
            return min(nak.argument, len(sample.data))
        if nak.code is Nak.INPUT:
            progress.started = False
            return 0
        if nak.code is Nak.NO_RESULT:
            raise _AgainError  # a damaged frame passed for the start of an input
        raise self._client.refusal(nak)

    def _shrink(self) -> None:
        """A line that damages frames gets shorter ones."""
        self._chunk = max(_LEAST_CHUNK, self._chunk // 2)

    def _await_rest(self, sample: _Sample, progress: _Progress) -> None:
        """Outputs beyond the first chunk, and the times of further runs."""
        timing = self._client.timing
        wanted = sample.wanted
        assert progress.result is not None
        for _ in range(timing.attempts + self._output_total // DATA_CHUNK):
            gap = self._gap(progress)
            if gap is None:
                if self._whole(progress):
                    break
                # a piece of another inference is among them: the device still holds this one's
                progress.outputs = {0: progress.result.data}
                gap = self._gap(progress)
                if gap is None:
                    break
            reply = self._client.stream.next(timing.reply, timing.settle)
            if reply is None:
                if wanted.repeat:
                    raise _AgainError  # the outputs are being overwritten
                self._client.send(encode_request(Request.READ, sample.sequence, *gap))
            else:
                self._take(reply, sample, progress)
        if self._gap(progress) is not None or not self._whole(progress):
            raise _AgainError
        if wanted.repeat:
            deadline = time.monotonic() + timing.inference
            while progress.times is None:
                reply = self._client.stream.next(deadline - time.monotonic())
                if reply is None:
                    raise self._hung() if time.monotonic() > deadline else _AgainError
                self._take(reply, sample, progress)
            if progress.times.disturbed:
                raise _AgainError

    def _whole(self, progress: _Progress) -> bool:
        """Whether the outputs are those that the result speaks of."""
        assert progress.result is not None
        return zlib.crc32(_joined(progress.outputs, self._output_total)) == (
            progress.result.output_crc
        )

    def _gap(self, progress: _Progress) -> tuple[int, int] | None:
        """The first output bytes that are missing: offset and length."""
        at = 0
        for offset in sorted(progress.outputs):
            if offset > at:
                return at, offset - at
            at = max(at, offset + len(progress.outputs[offset]))
        return None if at >= self._output_total else (at, self._output_total - at)

    def _outcome(self, wanted: Wanted, progress: _Progress) -> Outcome:
        assert progress.result is not None
        if len(progress.layers) != progress.result.layer_frames:
            raise _AgainError
        dumped = self._dumped(wanted, progress) if wanted.dump else None
        return Outcome(
            outputs=_joined(progress.outputs, self._output_total),
            ticks=progress.result.ticks,
            layers=tuple(progress.layers),
            dumped=dumped,
            times=progress.times,
        )

    def _dumped(self, wanted: Wanted, progress: _Progress) -> bytes:
        for record in progress.layers:
            if (record.layer, record.output) == wanted.dump:
                data = _joined(progress.dumped, record.bytes)
                if len(data) != record.bytes or zlib.crc32(data) != record.crc:
                    raise _AgainError
                return data
        assert wanted.dump is not None
        raise DeviceError(
            f"the model on the device has no output {wanted.dump[1]} of layer {wanted.dump[0]}",
            next_step="edgepack build ... --explain lists the layers",
        )

    def _failed(self, status: int) -> DeviceError:
        reason = STATUS_NAMES.get(status, "unknown status")
        return DeviceError(
            f"the inference on {self._client.link.name} failed with status {status}: {reason}"
        )

    def _hung(self) -> DeviceSilentError:
        limit = self._client.timing.inference
        return DeviceSilentError(
            f"the device at {self._client.link.name} took the input, but its inference did not end "
            f"within {limit:g} s ({self._client.stream.last_seen()})",
            next_step="reset the board; allow more with --inference-timeout SECONDS",
        )


def _joined(pieces: dict[int, bytes], total: int) -> bytes:
    """The pieces in order of their offsets, which overlap only where one was sent twice."""
    out = bytearray()
    for offset in sorted(pieces):
        if offset <= len(out):
            out[offset : offset + len(pieces[offset])] = pieces[offset]
    return bytes(out[:total])
