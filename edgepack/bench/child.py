"""The parent's side of the interpreter child: start, ask, time out, make a crash an error."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal

from edgepack import runner
from edgepack.bench.wire import Blob, Header, decode, encode
from edgepack.errors import ModelError, UnsupportedError

EngineName = Literal["tflm", "litert"]
_TITLES = {"tflm": "the TFLM interpreter", "litert": "the LiteRT interpreter"}
_STDERR_LIMIT = 20_000  # bytes of C stderr kept for one request
_CHUNK = 1 << 20


class InterpreterCrash(ModelError):
    """The interpreter's process died or hung on a model; `stderr` is what its C code printed."""

    def __init__(self, message: str, stderr: str) -> None:
        super().__init__(f"{message}\n{stderr}".rstrip(), next_step="edgepack inspect MODEL")
        self.stderr = stderr


class InterpreterRefusal(UnsupportedError):
    """The interpreter answered that it cannot run the model; `stderr` holds its C code's reason."""

    def __init__(self, message: str, stderr: str) -> None:
        super().__init__(f"{message}\n{stderr}".rstrip(), next_step="edgepack inspect MODEL")
        self.stderr = stderr


class InterpreterChild:
    """One child process that holds one interpreter; restarted by the next request after a crash.

    Not safe for use from several threads at once. Close it, or use it as a context manager.
    """

    def __init__(self, engine: EngineName) -> None:
        self.engine: EngineName = engine
        self.title = _TITLES[engine]
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None

    def __enter__(self) -> InterpreterChild:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child; a later request starts a new one."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        self._stack.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def request(
        self, header: Header, blobs: Sequence[Blob] = (), *, timeout: float
    ) -> tuple[Header, list[bytes]]:
        """Ask the child and wait for its answer.

        Args:
            header: the command and its arguments (edgepack/bench/worker.py).
            blobs: raw payloads.
            timeout: seconds for the whole request.

        Raises:
            InterpreterCrash: the child died or did not answer in time.
            InterpreterRefusal: the interpreter reported an error.
        """
        process = self._ensure()
        mark = self._stderr_size()
        deadline = time.monotonic() + timeout
        try:
            self._send(process, encode(header, blobs), deadline)
            reply, out = decode(lambda count: self._receive(process, count, deadline))
        except (EOFError, BrokenPipeError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2.0)
            text = self._stderr_since(mark)
            code = process.poll()
            self.close()
            raise InterpreterCrash(f"{self.title} crashed ({_cause(code)})", text) from None
        except TimeoutError:
            text = self._stderr_since(mark)
            self.close()
            raise InterpreterCrash(
                f"{self.title} did not answer within {timeout:g} s", text
            ) from None
        if "error" in reply:
            raise InterpreterRefusal(
                f"{self.title} refused the model: {reply['error']}", self._stderr_since(mark)
            )
        return reply, out

    def _ensure(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
        self._stderr = self._stack.enter_context(_unnamed_file())
        self._process = self._stack.enter_context(
            runner.background(
                [sys.executable, "-m", "edgepack.bench.worker", self.engine],
                env={"PYTHONPATH": path},
                stdin=True,
                stderr=self._stderr,
            )
        )
        return self._process

    def _send(
        self, process: subprocess.Popen[bytes], pieces: Sequence[Blob], deadline: float
    ) -> None:
        assert process.stdin is not None
        descriptor = process.stdin.fileno()
        os.set_blocking(descriptor, False)
        for piece in pieces:
            view = memoryview(piece).cast("B")
            while view:
                _wait(deadline, writable=descriptor)
                view = view[os.write(descriptor, view[:_CHUNK]) :]

    def _receive(self, process: subprocess.Popen[bytes], count: int, deadline: float) -> bytes:
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        parts: list[bytes] = []
        while count:
            _wait(deadline, readable=descriptor)
            part = os.read(descriptor, min(count, _CHUNK))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _stderr_size(self) -> int:
        return os.fstat(self._stderr.fileno()).st_size if self._stderr else 0

    def _stderr_since(self, mark: int) -> str:
        if self._stderr is None:
            return ""
        # pread: the child writes through the same file offset, which must not move.
        data = os.pread(self._stderr.fileno(), _STDERR_LIMIT, mark)
        return data.decode("utf-8", "replace").strip()


def _wait(deadline: float, *, readable: int | None = None, writable: int | None = None) -> None:
    left = deadline - time.monotonic()
    reading = [readable] if readable is not None else []
    writing = [writable] if writable is not None else []
    if left <= 0 or not any(select.select(reading, writing, [], left)):
        raise TimeoutError


def _unnamed_file() -> IO[bytes]:
    return tempfile.TemporaryFile()  # noqa: SIM115  # the caller's ExitStack closes it


def _cause(code: int | None) -> str:
    if code is None:
        return "it closed its output"
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
