"""The only subprocess wrapper: a log, a time-out, a dry run, and no orphans.

Every child is started in its own session and, on Linux, asks the kernel to be killed when its
parent dies (prctl(2), PR_SET_PDEATHSIG), so that an emulator never outlives the edgepack that
started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgepack.errors import EdgepackError, MissingToolError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GRACE_SECONDS = 2.0  # between SIGTERM and SIGKILL


class CommandError(EdgepackError):
    """A child process failed; `result` holds what it printed."""

    exit_code = 9

    def __init__(self, message: str, result: Result, *, next_step: str | None = None) -> None:
        super().__init__(message, next_step=next_step)
        self.result = result


@dataclass(frozen=True)
class Result:
    """What a finished child left: its command, exit code, output and wall time in seconds."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    def tail(self, lines: int = 12) -> str:
        """The last lines it printed, standard error first."""
        text = self.stderr.strip() or self.stdout.strip()
        return "\n".join(text.splitlines()[-lines:])


def which(tool: str) -> str | None:
    """The path of a program on PATH, or None."""
    return shutil.which(tool)


def require(tool: str, *, install: str) -> str:
    """The path of a program that must exist.

    Args:
        tool: the program's name or path.
        install: the exact command that installs it.

    Raises:
        MissingToolError: it is not on PATH.
    """
    path = which(tool)
    if path is None:
        raise MissingToolError(f"{tool} is not installed (not found on PATH)", next_step=install)
    return path


def printable(argv: Sequence[str]) -> str:
    """The command as one could paste it into a shell."""
    return shlex.join(argv)


def _die_with_parent() -> None:
    """Run in the child before exec: ask Linux to kill it when the parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    check: bool = True,
    what: str | None = None,
) -> Result:
    """Run a program to its end and collect its output.

    Args:
        argv: the program and its arguments.
        timeout: seconds after which the child and its children are killed.
        cwd: working directory.
        env: variables added to the environment.
        stdin: text for its standard input.
        check: raise when the exit code is not 0.
        what: what the command is for, used in the error ("compile layer 3").

    Raises:
        MissingToolError: the program does not exist.
        CommandError: it failed (with `check`) or ran out of time.
    """
    started = time.monotonic()
    label = what or Path(argv[0]).name
    with background(argv, cwd=cwd, env=env, stdin=stdin is not None) as child:
        try:
            out, err = child.communicate(
                stdin.encode() if stdin is not None else None, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            stop(child)
            out, err = child.communicate()
            result = _result(argv, child.returncode, out, err, started)
            raise CommandError(
                f"{label} did not finish within {timeout:g} s: {printable(argv)}\n{result.tail()}",
                result,
            ) from None
    result = _result(argv, child.returncode, out, err, started)
    if check and result.returncode != 0:
        raise CommandError(
            f"{label} failed with exit code {result.returncode}: "
            f"{printable(argv)}\n{result.tail()}",
            result,
        )
    return result


def _result(
    argv: Sequence[str], code: int, out: bytes | None, err: bytes | None, started: float
) -> Result:
    def text(data: bytes | None) -> str:
        return (data or b"").decode("utf-8", "replace")

    return Result(tuple(argv), code, text(out), text(err), time.monotonic() - started)


@contextlib.contextmanager
def background(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bool = False,
    stdout: IO[bytes] | int = subprocess.PIPE,
    stderr: IO[bytes] | int = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that runs beside us; it is stopped when the block is left.

    `pass_fds` are descriptors, such as a listening socket, that the child inherits (POSIX only).

    Raises:
        MissingToolError: the program does not exist.
    """
    try:
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=_die_with_parent if os.name == "posix" else None,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise
        raise MissingToolError(
            f"{argv[0]} is not installed (not found on PATH)", next_step="edgepack doctor"
        ) from error
    except PermissionError as error:
        raise MissingToolError(f"{argv[0]} exists but may not be executed") from error
    try:
        yield child
    finally:
        stop(child)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def stop(child: subprocess.Popen[bytes]) -> None:
    """End a child and everything in its session: SIGTERM, then SIGKILL after a grace time.

    A child that has ended may leave children of its own behind (a compiler driver its compiler), so
    the session is swept in any case.
    """
    if child.poll() is None:
        _signal(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
    _signal(child, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE_SECONDS)


def _signal(child: subprocess.Popen[bytes], sig: signal.Signals) -> None:
    """Signal the child's session; nothing of it may be left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, sig)
