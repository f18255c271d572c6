"""Which layer a converter crashed on, found by converting shorter pieces of the network.

A native crash leaves no message. For a Keras model the layers are tried as ends of the network, by
bisection, each in a process of its own: the first end that crashes is the layer to blame.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from edgepack.convert.base import ConvertOptions
from edgepack.convert.table import CONVERTERS
from edgepack.errors import ConversionError, EdgepackError
from edgepack.models.isolate import CrashError, Task, run_task
from edgepack.models.load import format_of

MAX_TRIES = 8  # of a few seconds each: enough for 2^8 layers
_TASK = "edgepack.convert.keras:convert_up_to"
_KERAS = "edgepack.convert.keras:"


def name_the_layer(
    error: CrashError, path: Path, options: ConvertOptions, arguments: dict[str, Any]
) -> ConversionError:
    """The error of a crash, with the layer where that can be found out.

    Args:
        error: the crash.
        path: the model.
        options: how it was converted; the search ends with its time limit.
        arguments: of the task that crashed.
    """
    if not CONVERTERS[format_of(path)].opener.startswith(_KERAS):
        return error
    layer = _first_crash(path, options, arguments)
    if layer is None:
        return error
    return ConversionError(
        f"{error.message}\nit happens at the layer {layer}: the network up to the one before "
        "converts",
        allowed=error.allowed,
        next_step=f"replace the layer {layer}, or unroll it if it is recurrent (unroll=True)",
    )


def _first_crash(path: Path, options: ConvertOptions, arguments: dict[str, Any]) -> str | None:
    """The first layer whose output crashes the converter; None where none does by itself."""
    deadline = time.monotonic() + options.time_limit
    low, high = 0, None  # the network of `low` layers converts, that of `high` crashes
    name: str | None = None
    for _ in range(MAX_TRIES):
        if high is not None and high - low <= 1:
            break
        middle = -1 if high is None else (low + high) // 2
        outcome = _try(path, options, {**arguments, "layers": middle}, deadline)
        if outcome is None:
            return None
        crashed, count, last = outcome
        if crashed:
            high, name = count, last
        elif high is None:
            return None  # the whole network converts when it is done alone
        else:
            low = middle
    return name if high is not None and high - low <= 1 else None


def _try(
    path: Path, options: ConvertOptions, arguments: dict[str, Any], deadline: float
) -> tuple[bool, int, str] | None:
    """Whether the first layers crash the converter, how many they are, and the last one's name.

    None where it cannot be told: it failed otherwise, or time ran out.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        return None
    seen: list[str] = []

    def note(stage: str, fraction: float | None, message: str) -> None:
        if stage == "blame":
            seen.append(message)

    task = Task(_TASK, arguments, f"converting {path.name}", left, memory_mb=options.memory_limit)
    crashed = False
    try:
        run_task(task, note)
    except CrashError:
        crashed = True
    except EdgepackError:
        return None
    if not seen:
        return None
    count, _, name = seen[-1].partition(" ")
    return crashed, int(count), name
