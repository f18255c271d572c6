"""Run model-half code in a child process: its noise, its memory and its crashes stay there.

TensorFlow prints to standard error from C++ at import, takes 300 MB, and its converter can end in a
segmentation fault. A task is a function named `module:function` that takes a dictionary and a
`Progress` and returns a dictionary (both plain JSON); `edgepack.models.worker` is the child's side.

The child's standard output carries one JSON object per line: `progress`, then `result` or `error`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgepack import errors, runner
from edgepack.errors import ConversionError, EdgepackError, MissingToolError
from edgepack.models.progress import Progress, silent
from edgepack.models.worker import out_of_memory

# Bits of a float result depend on these; a child always runs with the same ones.
_ENVIRONMENT = {
    # ONNX Runtime refuses operator sets that are newer than itself, even where nothing changed
    "ALLOW_RELEASED_ONNX_OPSET_ONLY": "0",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_USE_LEGACY_KERAS": "0",
}
_LOG_LINES = 6  # of the child's own log shown with a crash
_NO_MEMORY = re.compile(r"bad_alloc|OOM when allocating|[Cc]annot allocate memory|MemoryError")
# The lines of TensorFlow's log that tell of a failure; most of it is chatter, and "E" lines about
# a missing GPU are part of that.
_TELLING = re.compile(r"^[EF]\d{4} |[Ee]rror\b|\b[Ff]atal|Check failed|terminate called|bad_alloc")


class CrashError(ConversionError):
    """The child died of a signal or left without an answer."""


@dataclass(frozen=True)
class Task:
    """What a child is to run.

    `function` is `module:function` inside edgepack, `arguments` its one JSON-able argument, `what`
    names the work in an error ("quantizing digits.keras"), `timeout` is in seconds; `tensorflow`
    says that it imports TensorFlow, which `warm_children` can do ahead. `memory_mb` bounds what the
    child may take, in 2^20 bytes; `time_hint` is the next step of the error after a time-out.
    `onednn` lets TensorFlow use oneDNN's kernels: training a convolution takes about half as long,
    and the last bits depend on the machine.
    """

    function: str
    arguments: dict[str, Any]
    what: str
    timeout: float
    tensorflow: bool = True
    memory_mb: int | None = None
    onednn: bool = False
    time_hint: str = "give it a larger timeout_s in edgepack.toml, or less data"


def has_package(name: str) -> bool:
    """Whether a Python package could be imported, found out without importing it."""
    return importlib.util.find_spec(name) is not None


def require_package(name: str, *, extra: str, why: str) -> None:
    """Demand an optional package.

    Args:
        name: the package as it is imported.
        extra: the extra of edgepack that brings it.
        why: what it is needed for, as in "to train and quantize".

    Raises:
        MissingToolError: it is not installed.
    """
    if not has_package(name):
        raise MissingToolError(
            f"the Python package {name} is needed {why} and is not installed",
            next_step=f"pip install 'edgepack[{extra}]'",
        )


@contextlib.contextmanager
def warm_children(upcoming: int) -> Iterator[None]:
    """Start TensorFlow ahead of time for the next tasks of this thread.

    Importing TensorFlow takes seconds on one core. Inside the block one child imports it while the
    task before is still running on the other; each task still has a process of its own.

    Args:
        upcoming: how many tasks with `tensorflow` set will run in the block; no more are started.
    """
    nursery = _Nursery(upcoming)
    token = _NURSERY.set(nursery)
    try:
        nursery.prepare()
        yield
    finally:
        _NURSERY.reset(token)
        nursery.close()


@contextlib.contextmanager
def kept_child() -> Iterator[None]:
    """Run the tasks of this block in one child, one after the other; a crash costs only a new one.

    For many small tasks that import the same large packages. They share a process, so nothing may
    depend on its state.
    """
    keeper = _Keeper()
    token = _KEEPER.set(keeper)
    try:
        yield
    finally:
        _KEEPER.reset(token)
        keeper.drop()


class _Child:
    """A worker process that waits for its request on standard input, and its log file."""

    def __init__(self, preload: bool, onednn: bool = False) -> None:
        self._stack = contextlib.ExitStack()
        argv = [sys.executable, "-P", "-m", "edgepack.models.worker"]
        with self._stack:  # undone if the start fails
            self.log = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            self.process = self._stack.enter_context(
                runner.background(
                    [*argv, "--preload"] if preload else argv,
                    env=_environment(onednn),
                    stdin=True,
                    stderr=self.log,
                )
            )
            self._stack.callback(self._close_pipes)
            self._stack = self._stack.pop_all()

    def _close_pipes(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            # A request that a dead child never read is flushed by closing; nobody waits for it.
            with contextlib.suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()

    def close(self) -> None:
        self._stack.close()

    def ended(self) -> bool:
        """Whether the process is gone, or about to be: it closed its output, or was stopped."""
        return self.process.poll() is not None


class _Nursery:
    """At most one child that is ready before it is needed."""

    def __init__(self, upcoming: int) -> None:
        self._upcoming = upcoming
        self._ready: _Child | None = None

    def prepare(self) -> None:
        if self._upcoming > 0 and self._ready is None:
            self._upcoming -= 1
            self._ready = _Child(preload=True)

    def take(self) -> _Child | None:
        child, self._ready = self._ready, None
        return child

    def close(self) -> None:
        self._upcoming = 0
        if child := self.take():
            child.close()


class _Keeper:
    """The child that `kept_child` keeps, and whether it may be used again."""

    def __init__(self) -> None:
        self._child: _Child | None = None

    def child(self) -> _Child:
        if self._child is None:
            self._child = _Child(preload=False)
        return self._child

    def drop(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


_NURSERY: ContextVar[_Nursery | None] = ContextVar("nursery", default=None)
_KEEPER: ContextVar[_Keeper | None] = ContextVar("keeper", default=None)


def run_task(task: Task, progress: Progress = silent) -> dict[str, Any]:
    """Run a task in a child of its own and return what it returned.

    Raises:
        EdgepackError: the very error that the task raised.
        CrashError: the child died (a signal, an exit).
        ConversionError: the child outlived `task.timeout`.
    """
    keeper = _KEEPER.get()
    if keeper is not None:
        return _run_kept(keeper, task, progress)
    nursery = _NURSERY.get() if task.tensorflow and not task.onednn else None
    child = (nursery.take() if nursery else None) or _Child(preload=False, onednn=task.onednn)
    with contextlib.closing(child):
        if nursery:
            nursery.prepare()
        return _follow(child, task, progress)


def _run_kept(keeper: _Keeper, task: Task, progress: Progress) -> dict[str, Any]:
    child = keeper.child()
    try:
        return _follow(child, task, progress, keep=True)
    except EdgepackError:
        if child.ended():  # a crash or a time-out; an error that the task raised leaves it alive
            keeper.drop()
        raise
    except BaseException:  # interrupted in the middle of a reply
        keeper.drop()
        raise


def _follow(child: _Child, task: Task, progress: Progress, *, keep: bool = False) -> dict[str, Any]:
    request = json.dumps(
        {"function": task.function, "arguments": task.arguments, "memory_mb": task.memory_mb}
    )
    log_start = child.log.seek(0, os.SEEK_END)  # what earlier tasks wrote is not this one's
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        runner.stop(child.process)

    clock = threading.Timer(task.timeout, expire)
    clock.daemon = True
    clock.start()
    try:
        assert child.process.stdin is not None and child.process.stdout is not None
        reply = _converse(child.process.stdin, child.process.stdout, request, progress, keep)
        if reply is None:
            child.process.wait()
    finally:
        clock.cancel()
    if reply is not None:
        return _unwrap(reply)
    if expired.is_set():
        raise ConversionError(
            f"{task.what} did not finish within {task.timeout:g} s and was stopped",
            next_step=task.time_hint,
        )
    tail = _tail(child.log, log_start)
    if task.memory_mb is not None and _NO_MEMORY.search(tail):
        raise out_of_memory(task.memory_mb)
    raise CrashError(f"{task.what} {_death(child.process.returncode)}{tail}")


def _environment(onednn: bool) -> dict[str, str]:
    """The child finds the same edgepack that runs here, installed or in a checkout."""
    package_root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([package_root, inherited] if inherited else [package_root])
    chosen = {"TF_ENABLE_ONEDNN_OPTS": "1"} if onednn else {}
    return {**_ENVIRONMENT, **chosen, "PYTHONPATH": path}


def _converse(
    stdin: IO[bytes], stdout: IO[bytes], request: str, progress: Progress, keep: bool
) -> dict[str, Any] | None:
    """Send the request and follow the child; None when it closed its output without a reply."""
    try:
        stdin.write(request.encode() + b"\n")
        stdin.flush()
        if not keep:
            stdin.close()
    except BrokenPipeError:
        return None
    for message in _messages(stdout):
        if "progress" in message:
            stage, fraction, text = message["progress"]
            progress(stage, fraction, text)
        else:
            return message
    return None


def _messages(stdout: IO[bytes]) -> Iterator[dict[str, Any]]:
    for line in stdout:
        try:
            message = json.loads(line)
        except ValueError:  # the child was killed in the middle of a line
            return
        if isinstance(message, dict):
            yield message


def _unwrap(reply: dict[str, Any]) -> dict[str, Any]:
    if "error" in reply:
        error = reply["error"]
        kind = getattr(errors, error["class"], EdgepackError)
        raise kind(error["message"], allowed=error["allowed"], next_step=error["next_step"])
    result = reply["result"]
    assert isinstance(result, dict)
    return result


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"crashed: its process died of {signal.Signals(-code).name}"
    return f"failed: its process ended with exit code {code} and no result"


def _tail(log: IO[bytes], start: int) -> str:
    """The last lines of the child's log that tell of a failure, indented below the message."""
    log.seek(start)
    lines = log.read().decode("utf-8", "replace").splitlines()
    kept = [line for line in lines if _TELLING.search(line) and "cuda" not in line.lower()]
    return "".join(f"\n  {line.rstrip()[:200]}" for line in kept[-_LOG_LINES:])
