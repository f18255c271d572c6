"""Tasks that `test_isolate` runs in child processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from edgepack.errors import DataError
from edgepack.models.progress import Progress


def answer(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    progress("count", 0.0, "one")
    progress("count", 1.0, "two")
    return {"twice": 2 * arguments["value"], "pid": os.getpid()}


def noisy(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    print("not JSON, on Python's standard output")
    os.write(1, b'{"result": "forged"}\n')
    sys.stderr.write("noise on standard error\n")
    return {"done": True}


def typed_error(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise DataError("no samples", allowed="some", next_step="add some")


def any_error(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise ZeroDivisionError("by nothing")


def crash(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    os.write(2, b"I0000 chatter\nfatal: the last words\n")
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def leave(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    os._exit(3)


def hang(arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    progress("hang", None, str(os.getpid()))
    time.sleep(600)
    return {}
