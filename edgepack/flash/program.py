"""Runs the program behind a flash tool: finds it, follows its progress, explains its failures."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from edgepack import runner
from edgepack.errors import FlashError
from edgepack.flash.base import FlashOutcome, FlashRequest

_PERCENT = re.compile(r"(\d{1,3})(?:\.\d+)?\s?%")
_TAIL_LINES = 8


@dataclass(frozen=True)
class Hint:
    """What a tool's message means: `pattern` is searched for in its output, ignoring case."""

    pattern: str
    meaning: str
    next_step: str


_UDEV = (
    "sudo apt-get install openocd (it brings the udev rules of most debug probes), "
    "then unplug and plug in the board"
)
DIALOUT = 'sudo usermod -aG dialout "$USER", then log in again'

# What every tool may say, after its own hints have been looked at.
COMMON_HINTS = (
    Hint(
        r"(permission denied|access denied|EACCES|EPERM).*(tty|port|COM\d)"
        r"|(tty|could not open port|COM\d).*(permission denied|access is denied|EACCES)",
        "this user may not open the serial port",
        DIALOUT,
    ),
    Hint(
        r"permission denied|access denied|LIBUSB_ERROR_ACCESS|insufficient permissions|EACCES",
        "this user may not open the debug probe",
        _UDEV,
    ),
    Hint(
        r"could not open (port|/dev)|no such file or directory: '?(/dev|COM)|no device found on",
        "the serial port does not exist or is held by another program",
        "edgepack devices",
    ),
    Hint(
        r"resource busy|device or resource busy|could not exclusively lock|LIBUSB_ERROR_BUSY",
        "another program holds the board",
        "close it (a debugger, a serial monitor), then run the command again",
    ),
)


def python_tool(module: str, program: str) -> tuple[str, ...] | None:
    """How to start a tool that is a Python package: from this environment, else from PATH."""
    if importlib.util.find_spec(module) is not None:
        return (sys.executable, "-m", module)
    return (program,) if runner.which(program) is not None else None


def package_version(distribution: str) -> tuple[int, ...] | None:
    """The version of an installed Python package, or None."""
    try:
        text = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def run_tool(
    tool: str,
    command: Sequence[str],
    request: FlashRequest,
    *,
    hints: Sequence[Hint] = (),
    timeout: float = 180.0,
    must_say: str | None = None,
    must_not_say: str | None = None,
) -> FlashOutcome:
    """Run a flash program to its end.

    Args:
        tool: the flash tool's name.
        command: what to run.
        request: whose progress is told, and what the outcome is about.
        hints: what this tool's messages mean, the most special first.
        timeout: seconds after which the program is ended.
        must_say: a pattern without which the program has not done its work, whatever its exit code.
        must_not_say: a pattern that means failure, whatever its exit code.

    Raises:
        FlashError: it failed; the message says what its output means, and its last lines.
        MissingToolError: it cannot be started.
    """
    code, text = _watch(tool, command, request, timeout)
    shown = f"\n  {runner.printable(command)}\n{_tail(text)}"
    if code is None:
        raise _explained(
            hints, text, f"{tool} did not finish within {timeout:g} s", shown, tool, certain=False
        )
    bad = must_not_say is not None and re.search(must_not_say, text, re.I | re.M) is not None
    silent = must_say is not None and re.search(must_say, text, re.I | re.M) is None
    if code != 0 or bad or silent:
        how = f"{tool} failed with exit code {code}"
        if code == 0:
            how = f"{tool} ended with exit code 0 but did not report success"
        raise _explained(hints, text, how, shown, tool, certain=code != 0 or bad)
    return FlashOutcome(
        tool=tool,
        command=tuple(command),
        summary=f"{tool} wrote {request.image.name} to {request.target.id}",
    )


def _explained(
    hints: Sequence[Hint], text: str, how: str, shown: str, tool: str, *, certain: bool
) -> FlashError:
    for hint in (*hints, *COMMON_HINTS):
        if re.search(hint.pattern, text, re.I | re.S):
            return FlashError(f"{hint.meaning} ({how}){shown}", next_step=hint.next_step)
    advice = "check cable and power of the board, then run the same command again"
    return FlashError(
        f"{how}{shown}",
        next_step=advice if certain else f"run the command above by hand to see what {tool} wants",
    )


def _tail(text: str) -> str:
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    return "\n".join(f"  | {line}" for line in lines[-_TAIL_LINES:])


def _watch(
    tool: str, command: Sequence[str], request: FlashRequest, timeout: float
) -> tuple[int | None, str]:
    """Exit code (None: out of time) and everything printed, while progress is told."""
    pieces: list[str] = []
    request.progress(tool, None, "")
    # esptool and pyOCD draw boxes and colours on what they take for a terminal
    plain = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    with runner.background(command, env=plain) as child:
        assert child.stdout is not None and child.stderr is not None
        threads = [
            threading.Thread(
                target=_follow, args=(os.dup(pipe.fileno()), pieces, tool, request), daemon=True
            )
            for pipe in (child.stdout, child.stderr)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + timeout
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        code = child.poll()
        if code is None:
            runner.stop(child)
        for thread in threads:
            thread.join(1.0)
    return code, "".join(pieces)


def _follow(descriptor: int, pieces: list[str], tool: str, request: FlashRequest) -> None:
    with open(descriptor, "rb", buffering=0) as pipe:
        while chunk := _read(pipe):
            text = chunk.decode("utf-8", "replace")
            pieces.append(text)
            percents = _PERCENT.findall(text)
            if percents:
                request.progress(tool, min(int(percents[-1]), 100) / 100, "")


def _read(pipe: IO[bytes]) -> bytes:
    return pipe.read(4096) or b""
