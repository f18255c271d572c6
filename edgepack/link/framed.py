"""The host side of the framed extension: every request answered, repeated, or a typed error.

Nothing is returned that a CRC has not confirmed: replies carry their own, an inference starts only
when the input in the device's memory has the CRC that the host computed, and its result names that
CRC again.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from dataclasses import dataclass

from edgepack.errors import DeviceError, DeviceLostError, DeviceSilentError, ProtocolError
from edgepack.link.base import ByteLink
from edgepack.link.frames import INIT_PAINT, Nak, Reply, ReplyFrame, Request, encode_request
from edgepack.link.messages import (
    DeviceInfo,
    MemoryPeaks,
    NakRecord,
    parse_info,
    parse_memory,
    parse_nak,
)
from edgepack.link.stream import ReplyStream

_SEQUENCES = 0x10000
# One count for all sessions of this process: what a device said in an earlier session, and a slow
# adapter still delivers, cannot pass for an answer in this one. Another process starts elsewhere.
_sequences = itertools.count(random.SystemRandom().randrange(_SEQUENCES))


@dataclass(frozen=True)
class LinkTiming:
    """How long the host waits, in seconds.

    Attributes:
        hello: until a device that may be starting has introduced itself.
        reply: for the answer to a small request, before it is sent again.
        settle: of quiet after which a damaged reply is taken to have ended.
        inference: for one inference, before the device is given up as hung.
        attempts: how often one request is sent.
        slowest: bytes a second that every line that works carries: a quarter of what the slowest
            emulator was seen to take.
    """

    hello: float = 10.0
    reply: float = 1.0
    settle: float = 0.15
    inference: float = 60.0
    attempts: int = 12
    slowest: float = 2000.0


class FramedClient:
    """Requests and replies over one link. Inferences are in `transfer.Transfer`."""

    def __init__(self, link: ByteLink, timing: LinkTiming | None = None) -> None:
        self.link = link
        self.timing = timing or LinkTiming()
        self.stream = ReplyStream(link)
        self.sent = 0  # bytes, for link efficiency
        self._uptime: int | None = None

    def next_sequence(self) -> int:
        """A number for a new request; a reply to an old one cannot be mistaken for its answer."""
        return next(_sequences) % _SEQUENCES

    def send(self, frame: bytes) -> None:
        """Put bytes on the line."""
        self.link.write(frame, self.send_seconds(len(frame)) + self.timing.reply)
        self.sent += len(frame)

    def send_seconds(self, count: int) -> float:
        """The longest that `count` bytes can be on their way on a line that works."""
        return count / min(self.timing.slowest, self.link.baud / 10)

    def hello(self) -> DeviceInfo:
        """Introduce the host; forgets any transfer in progress.

        Raises:
            DeviceSilentError: no answer within `timing.hello`.
            DeviceLostError: the device has restarted since the last hello.
            ProtocolError: it answers, but in another protocol.
        """
        sequence = self.next_sequence()
        frame = b"\0" + encode_request(Request.HELLO, sequence)  # the zero ends a frame cut short
        deadline = time.monotonic() + self.timing.hello
        wait = min(self.timing.reply, 0.5)
        while time.monotonic() < deadline:
            self.send(frame)
            reply = self._await(sequence, Reply.INFO, wait)
            if reply is not None:
                return self._greeted(parse_info(reply))
            wait = min(wait * 1.5, 2.0)
        raise self._no_introduction()

    def _greeted(self, info: DeviceInfo) -> DeviceInfo:
        if self._uptime is not None and info.uptime < self._uptime:
            raise DeviceLostError(
                f"the device at {self.link.name} restarted in the middle of the run",
                next_step="check its power supply, then run the same command again",
            )
        self._uptime = info.uptime
        self.stream.in_session = True
        return info

    def _no_introduction(self) -> DeviceSilentError | ProtocolError:
        seen = self.stream.last_seen()
        if "m-" in seen or "e-[" in seen:
            return ProtocolError(
                f"the device at {self.link.name} speaks the MLPerf Tiny text protocol, but not "
                f"edgepack's framed extension ({seen})",
                next_step="flash an edgepack image: edgepack flash DIR",
            )
        return DeviceSilentError(
            f"the device at {self.link.name} did not introduce itself within "
            f"{self.timing.hello:g} s ({seen})",
            next_step="check port, baud rate and wiring (edgepack devices), or flash it: "
            "edgepack flash DIR",
        )

    def _await(self, sequence: int, want: Reply, timeout: float) -> ReplyFrame | None:
        """The reply to a request; None when it must be sent again."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            reply = self.stream.next(left, self.timing.settle)
            if reply is None:
                return None
            if reply.kind is Reply.NAK:
                nak = parse_nak(reply)
                if nak.code is Nak.FRAME:
                    return None
                if reply.sequence == sequence:
                    raise self.refusal(nak)
            elif reply.kind is want and reply.sequence == sequence:
                return reply
        return None

    def call(self, kind: Request, want: Reply, *arguments: int, timeout: float = 0.0) -> ReplyFrame:
        """One request that may safely be repeated, and its reply.

        Args:
            timeout: seconds that the device may need beyond the line's own delays.

        Raises:
            DeviceSilentError: no answer to `timing.attempts` requests.
            DeviceError: the device refuses.
        """
        sequence = self.next_sequence()
        frame = encode_request(kind, sequence, *arguments)
        deadline = time.monotonic() + self.timing.hello + timeout
        for _ in range(self.timing.attempts):
            self.send(frame)
            reply = self._await(sequence, want, self.timing.reply + timeout)
            if reply is not None:
                return reply
            if time.monotonic() > deadline:
                break
        raise self.silent(f"answer to {kind.name}")

    def refusal(self, nak: NakRecord) -> DeviceError | DeviceLostError | ProtocolError:
        """The error that a NAK stands for."""
        name = self.link.name
        if nak.code is Nak.NO_HELLO:
            return DeviceLostError(
                f"the device at {name} has restarted, or another program has used it",
                next_step="let only one program use the port, then run the same command again",
            )
        if nak.code is Nak.UNSUPPORTED:
            return DeviceError(
                f"the runtime on the device at {name} cannot report layers",
                next_step="edgepack build ... --runtime c",
            )
        if nak.code is Nak.MODEL:
            return DeviceError(
                f"the model on the device at {name} failed to initialise (status {nak.argument})"
            )
        if nak.code is Nak.ARGUMENT:
            return DeviceError(
                f"the device at {name} refuses the request", allowed=f"at most {nak.argument}"
            )
        return ProtocolError(
            f"the device at {name} refuses the request: "
            f"{nak.code.name if nak.code else f'code {nak.number}'}, argument {nak.argument}"
        )

    def silent(self, what: str) -> DeviceSilentError:
        """The error for a device that went quiet; says what was seen last."""
        return DeviceSilentError(
            f"the device at {self.link.name} sent no {what} ({self.stream.last_seen()})",
            next_step="reset the board and check the cable, then run the same command again",
        )

    def init(self, *, paint: bool) -> None:
        """Initialise the model again, clearing its state; `paint` restarts the memory peaks."""
        self.call(Request.INIT, Reply.ACK, INIT_PAINT if paint else 0, timeout=2.0)

    def memory(self) -> MemoryPeaks:
        """Bytes of memory used since start or the last paint."""
        return parse_memory(self.call(Request.MEMORY, Reply.MEMORY, timeout=2.0))

    def set_baud(self, rate: int) -> DeviceInfo:
        """Change the rate at both ends and greet again; back to the old one when that fails.

        Returns:
            The device's introduction at the rate that is now in use (`link.baud`).

        Raises:
            DeviceError: the device cannot do this rate.
            PortError: this side cannot.
        """
        before = self.link.baud
        self.call(Request.BAUD, Reply.ACK, rate)
        self.link.set_baud(rate)
        quick = FramedClient(self.link, LinkTiming(hello=1.0, reply=0.25))
        with contextlib.suppress(DeviceSilentError, ProtocolError):
            quick.hello()
            return self.hello()
        self.link.set_baud(before)  # the device falls back by itself when nobody greets it
        return self.hello()

    def reset(self) -> None:
        """Restart the firmware; the session is over and `hello` begins another."""
        self.call(Request.RESET, Reply.ACK)
        self.stream.in_session = False
        self._uptime = None
