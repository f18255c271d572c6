"""A board that is a process of this computer: where it listens, and why it is gone."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import deque
from dataclasses import dataclass
from typing import IO

from edgepack.errors import DeviceLostError

_KEPT_LINES = 40
# How long a process that has just closed its socket may take to end.
_DEATH_SECONDS = 1.0
# QEMU says this about every server socket, and nothing is wrong.
_HARMLESS = ("info: QEMU waiting for connection",)


class Tail:
    """Reads a pipe to its end in the background, so that it never fills; keeps the last lines."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        # a descriptor of its own: whoever stops the child also closes the pipe
        own = os.dup(pipe.fileno())
        self._thread = threading.Thread(target=self._read, args=(own,), daemon=True)
        self._thread.start()

    def _read(self, descriptor: int) -> None:
        with open(descriptor, "rb") as pipe:
            for raw in pipe:
                line = raw.decode("utf-8", "replace").rstrip()
                if line and not any(text in line for text in _HARMLESS):
                    self._lines.append(line)

    def text(self) -> str:
        """The last lines; waits briefly for those still on their way."""
        self._thread.join(0.2)
        return "\n".join(self._lines)


@dataclass
class RunningBoard:
    """A launched board.

    Attributes:
        url: what pyserial opens: `socket://127.0.0.1:PORT`, or the path of a pseudo-terminal.
        name: the target's id.
        pid: the process.
    """

    url: str
    name: str
    child: subprocess.Popen[bytes]
    tail: Tail

    @property
    def pid(self) -> int:
        return self.child.pid

    def __str__(self) -> str:
        return self.url

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.child.poll() is None

    def died(self, wait: float = _DEATH_SECONDS) -> DeviceLostError | None:
        """The error to raise when the process has ended or ends within `wait` seconds."""
        try:
            self.child.wait(wait)
        except subprocess.TimeoutExpired:
            return None
        code = self.child.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        said = self.tail.text()
        return DeviceLostError(
            f"the emulated board {self.name} {how}"
            + (f"; it said last:\n{said}" if said else " without a word"),
            next_step=_advice(said, self.name),
        )


def _advice(said: str, name: str) -> str:
    if "Lockup" in said or "lockup" in said:
        return (
            "the core locked up: a fault inside a fault, most often an image for another board; "
            f"build it again with --target {name}"
        )
    return "run the same command again; if it repeats, report it with the lines above"
