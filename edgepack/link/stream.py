"""The receiving side of a framed link: replies out of noise, restarts and faults noticed."""

from __future__ import annotations

import time

from edgepack.errors import DeviceLostError
from edgepack.link.base import ByteLink
from edgepack.link.frames import ReplyFrame, ReplyScanner

_LINE_LIMIT = 200  # characters kept of a line that does not end
_LINES_KEPT = 8
_BANNER = "m-init-done"
_FAULT = "e-[FAULT"


class ReplyStream:
    """Waits for replies on a link and watches what else the device says.

    Args:
        link: where the bytes come from.
    """

    def __init__(self, link: ByteLink) -> None:
        self._link = link
        self._scanner = ReplyScanner()
        self._ready: list[ReplyFrame] = []
        self._partial = ""
        self._lines: list[str] = []
        self._damaged = False  # since the last reply, bytes came that are not one
        self.in_session = False  # from the first INFO on, a banner means that the device restarted
        self.received = 0  # bytes, for link efficiency

    def next(self, timeout: float, settle: float | None = None) -> ReplyFrame | None:
        """The next reply, or None when none came within `timeout` seconds.

        Args:
            settle: seconds of quiet after bytes that are no reply, which end the wait early: the
                device has spoken, but what it said was damaged.

        Raises:
            DeviceLostError: the device restarted or reported a CPU fault, or the port is gone.
        """
        limit = deadline = time.monotonic() + timeout
        if self._damaged and settle is not None:
            deadline = min(limit, time.monotonic() + settle)
        while not self._ready:
            left = deadline - time.monotonic()
            if left <= 0:
                self._damaged = False
                self._take_text(self._scanner.give_up())
                return None
            data = self._link.read(left)
            if data and settle is not None:
                deadline = min(limit, time.monotonic() + settle)
            self.received += len(data)
            replies, text = self._scanner.feed(data)
            self._ready += replies
            self._damaged = self._scanner.pending or bool(text) or (self._damaged and not replies)
            self._take_text(text)
        return self._ready.pop(0)

    @property
    def waiting(self) -> bool:
        """Whether a reply is here already."""
        return bool(self._ready)

    def drop(self) -> None:
        """Forget replies that nobody waited for."""
        self._ready.clear()

    def last_seen(self) -> str:
        """What the device said last, for error messages."""
        lines = [*self._lines, self._partial] if self._partial else self._lines
        if lines:
            return "last seen: " + " | ".join(lines[-3:])
        if self.received:
            return f"last seen: {self.received} bytes, none of them a whole reply or text"
        return "nothing was received"

    def _take_text(self, data: bytes) -> None:
        for byte in data:
            if byte == 0x0A:
                self._end_line()
            elif 0x20 <= byte < 0x7F and len(self._partial) < _LINE_LIMIT:
                self._partial += chr(byte)

    def _end_line(self) -> None:
        line, self._partial = self._partial, ""
        if line:
            self._lines = [*self._lines[1 - _LINES_KEPT :], line]
        if _FAULT in line:
            raise DeviceLostError(
                f"the firmware at {self._link.name} crashed: {line}",
                next_step="run it on another board to compare, and report the fault line",
            )
        if _BANNER in line and self.in_session:
            raise DeviceLostError(
                f"the device at {self._link.name} restarted in the middle of the run",
                next_step="check its power supply, then run the same command again",
            )
