"""The child's side of `isolate`: read tasks, run them, report on the original standard output."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from edgepack.errors import ConversionError, EdgepackError


def main() -> int:
    """Run the tasks that standard input holds."""
    # Nothing but our messages may reach the parent's pipe: whatever this process or the C++ code
    # in it writes to file descriptor 1 goes to the log from here on.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if sys.argv[1:] == ["--preload"]:
        _preload()

    def send(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    # One request per line; a child that is kept for several tasks gets more than one.
    for line in sys.stdin:
        _answer(json.loads(line), send)
    # Leaving without the interpreter's shutdown: TensorFlow's threads are slow to join.
    sys.stderr.flush()
    os._exit(0)


def _answer(request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> None:
    """Run one task and send its result or error."""

    def progress(stage: str, fraction: float | None, message: str) -> None:
        send({"progress": [stage, fraction, message]})

    memory_mb = request.get("memory_mb")
    if memory_mb is not None:
        _limit_memory(memory_mb)
    module, _, function = request["function"].partition(":")
    try:
        result = getattr(importlib.import_module(module), function)(request["arguments"], progress)
    except EdgepackError as error:
        send({"error": _error(error)})
    except MemoryError:
        traceback.print_exc()
        send({"error": _error(out_of_memory(memory_mb))})
    # The boundary of the process: any failure of a third party becomes one typed error there, and
    # the traceback stands in the log.
    except Exception as error:
        traceback.print_exc()
        send({"error": _error(ConversionError(f"{type(error).__name__}: {_short(error)}"))})
    else:
        send({"result": result})


def _limit_memory(megabytes: int) -> None:
    """Bound this process's private memory; what it asks for beyond that is refused to it."""
    import resource

    # RLIMIT_DATA counts what can be written to (Linux 4.7 and later), RLIMIT_AS also the gigabytes
    # of addresses that threads reserve and never touch.
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = megabytes << 20
    soft = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, most))


def out_of_memory(megabytes: int | None) -> ConversionError:
    """The error of a child that asked for more memory than it may take."""
    limit = "this computer has" if megabytes is None else f"the {megabytes:,} MB allowed"
    return ConversionError(
        f"the model needs more memory than {limit}",
        next_step=None if megabytes is None else "--memory-limit MB allows more",
    )


def _preload() -> None:
    """Import TensorFlow before the request is there; a failure is the task's to report."""
    try:
        import keras  # noqa: F401
    except ImportError:
        traceback.print_exc()


def _error(error: EdgepackError) -> dict[str, Any]:
    return {
        "class": type(error).__name__,
        "message": error.message,
        "allowed": error.allowed,
        "next_step": error.next_step,
    }


def _short(error: Exception, limit: int = 600) -> str:
    """The first lines of an exception's text; TensorFlow's can run to pages."""
    text = "\n".join(str(error).strip().splitlines()[:8])
    return text if len(text) <= limit else text[:limit] + " ..."


if __name__ == "__main__":
    sys.exit(main())
