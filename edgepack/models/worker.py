"""The child's side of `isolate`: read one task, run it, report on the original standard output."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

from edgepack.errors import ConversionError, EdgepackError


def main() -> int:
    """Run the task that standard input holds."""
    # Nothing but our messages may reach the parent's pipe: whatever this process or the C++ code
    # in it writes to file descriptor 1 goes to the log from here on.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if sys.argv[1:] == ["--preload"]:
        _preload()
    request = json.load(sys.stdin)

    def send(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    def progress(stage: str, fraction: float | None, message: str) -> None:
        send({"progress": [stage, fraction, message]})

    module, _, function = request["function"].partition(":")
    try:
        result = getattr(importlib.import_module(module), function)(request["arguments"], progress)
    except EdgepackError as error:
        send({"error": _error(error)})
    # The boundary of the process: any failure of a third party becomes one typed error there, and
    # the traceback stands in the log.
    except Exception as error:
        traceback.print_exc()
        send({"error": _error(ConversionError(f"{type(error).__name__}: {_short(error)}"))})
    else:
        send({"result": result})
    replies.flush()
    # Leaving without the interpreter's shutdown: TensorFlow's threads are slow to join.
    sys.stderr.flush()
    os._exit(0)


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
