"""The MLPerf Tiny text protocol, host side: commands end in `%`, replies in `m-ready`.

Needed for firmware that is not edgepack's, and to check ours as the public runner sees it. The text
protocol has no checksum: a result read through it is only as good as the line.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from edgepack.errors import DeviceError, DeviceSilentError, ProtocolError
from edgepack.link.base import ByteLink

_READY = "m-ready"
_LOAD_BYTES = 31  # hex pairs of one `db` command: what fits into the 80 characters a device keeps
_LINES_KEPT = 3
_LAP = re.compile(r"m-lap-us-(\d+)$")
_RESULTS = re.compile(r"m-results-\[([^\]]*)\]$")


@dataclass(frozen=True)
class TextInference:
    """What `infer` printed: dequantized results, and microseconds between its two time stamps."""

    results: tuple[float, ...]
    elapsed_us: int


class TextClient:
    """A host of the text protocol.

    Args:
        link: an open link.
        timeout: seconds that the device may be silent after a command.
    """

    def __init__(self, link: ByteLink, timeout: float = 5.0) -> None:
        self._link = link
        self._timeout = timeout
        self._partial = b""
        self._lines: list[str] = []

    def await_ready(self, timeout: float) -> list[str]:
        """Lines up to `m-ready`, that line left out.

        Raises:
            DeviceSilentError: it did not come in time.
        """
        lines: list[str] = []
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._silent(timeout, lines)
            *whole, self._partial = (self._partial + self._link.read(left)).split(b"\n")
            for position, raw in enumerate(whole):
                line = raw.decode("ascii", "replace").strip("\r\0")
                if line == _READY:
                    rest = whole[position + 1 :]
                    self._partial = b"\n".join([*rest, self._partial])
                    return lines
                lines.append(line)

    def command(self, text: str, *, timeout: float | None = None) -> list[str]:
        """Send one command and collect its reply.

        Args:
            text: without the final `%`.

        Raises:
            DeviceSilentError: no `m-ready` in time.
            DeviceError: the device answered with an error line.
        """
        self._link.write(f"{text}%".encode("ascii"), self._timeout)
        lines = self.await_ready(self._timeout if timeout is None else timeout)
        for line in lines:
            if line.startswith("e-["):
                raise DeviceError(f"the device at {self._link.name} refuses {text[:40]!r}: {line}")
        return lines

    def name(self) -> str:
        """The device's name."""
        return self._field(self.command("name"), r"m-name-dut-\[([^\]]*)\]")

    def model(self) -> str:
        """MLPerf Tiny's name of the model that the device runs."""
        return self._field(self.command("profile"), r"m-model-\[([^\]]*)\]")

    def load(self, sample: bytes) -> None:
        """Load an input through `db`."""
        self.command(f"db load {len(sample)}")
        for start in range(0, len(sample), _LOAD_BYTES):
            self.command(f"db {sample[start : start + _LOAD_BYTES].hex()}")

    def infer(self, count: int = 1, warmup: int = 0, *, timeout: float = 60.0) -> TextInference:
        """Run the loaded input.

        Raises:
            ProtocolError: the reply lacks a time stamp or the results.
        """
        lines = self.command(f"infer {count} {warmup}", timeout=timeout)
        laps = [int(match[1]) for line in lines if (match := _LAP.match(line))]
        if len(laps) != 2:
            raise ProtocolError(f"infer printed {len(laps)} time stamps", allowed="2")
        text = self._field(lines, _RESULTS.pattern)
        return TextInference(tuple(float(v) for v in text.split(",") if v), laps[1] - laps[0])

    def _field(self, lines: list[str], pattern: str) -> str:
        for line in lines:
            if match := re.match(pattern, line):
                return match[1]
        raise ProtocolError(
            f"the device at {self._link.name} answered {lines[-_LINES_KEPT:]}, without {pattern}",
            next_step="flash an edgepack image: edgepack flash DIR",
        )

    def _silent(self, timeout: float, lines: list[str]) -> DeviceSilentError:
        seen = " | ".join(lines[-_LINES_KEPT:]) or self._partial.decode("ascii", "replace")
        return DeviceSilentError(
            f"the device at {self._link.name} did not say {_READY} within {timeout:g} s "
            f"(last seen: {seen or 'nothing'})",
            next_step="check port, baud rate and wiring (edgepack devices), or reset the board",
        )
