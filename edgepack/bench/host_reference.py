"""The same samples on the host CPU with LiteRT: outputs and latency.

LiteRT runs in a child process, so that its log lines stay away from the terminal and a crash
becomes an error. Times are those of `invoke` alone, on an otherwise unloaded thread as far as the
host allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgepack.bench.interpreter import LoadedModel, blocks, engine_child
from edgepack.bench.statistics import Summary, summarize
from edgepack.types import Array

Kernels = Literal["xnnpack", "optimized", "reference"]
_TITLES: dict[Kernels, str] = {
    "xnnpack": "LiteRT (XNNPACK)",
    "optimized": "LiteRT",
    "reference": "LiteRT (reference kernels)",
}
_WARMUP = 10  # invocations before the clock counts: XNNPACK packs weights, caches fill
_TIMED_RUNS = 100  # a median and a 95th percentile need this many; samples repeat to reach it
_TIMED_SECONDS = 2.0  # but no longer than this on top of the samples themselves


@dataclass(frozen=True)
class HostResult:
    """What the host computed, and how fast.

    outputs: per output an array [samples, *shape]. latency_us: microseconds per invocation.
    """

    runtime: str
    version: str
    threads: int
    outputs: tuple[Array, ...]
    latency_us: Summary


def run_host(
    model: bytes,
    inputs: Sequence[Array],
    *,
    threads: int = 1,
    kernels: Kernels = "xnnpack",
    fresh: bool = False,
    progress: Callable[[int], None] | None = None,
) -> HostResult:
    """Run samples through LiteRT.

    Args:
        model: the `.tflite` file.
        inputs: per model input an array [samples, *shape] in the input's dtype.
        threads: CPU threads LiteRT may use.
        kernels: `xnnpack` as LiteRT is used by default; `optimized` without a delegate;
            `reference` for its plain C++ kernels.
        fresh: start every sample from the model's initial state; else state carries over.
        progress: called with the number of samples done since the last call.

    Raises:
        InterpreterCrash, InterpreterRefusal: LiteRT died or refused the model.
        DataError: the inputs do not match.
    """
    options = {"threads": threads, "kernels": kernels, "preserve": False}
    parts = []
    times: list[int] = []
    with engine_child("litert") as child:
        loaded = LoadedModel(child, model, options)
        # A model with state must not see the warm-up: it gets one of its own, then a new start.
        if loaded.facts.stateful:
            loaded.run([a[:1] for a in inputs], warmup=_WARMUP)
            loaded.load()
        for number, block in enumerate(blocks(inputs)):
            warmup = _WARMUP if number == 0 and not loaded.facts.stateful else 0
            result = loaded.run(block, fresh=fresh, warmup=warmup)
            parts.append(result.outputs)
            times += result.nanoseconds
            if progress is not None:
                progress(len(block[0]))
        times += _more_times(loaded, inputs, _TIMED_RUNS - len(times))
    summary = summarize([t / 1000 for t in times])
    assert summary is not None  # there is at least one sample
    outputs = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    return HostResult(_TITLES[kernels], loaded.version, threads, outputs, summary)


def _more_times(loaded: LoadedModel, inputs: Sequence[Array], missing: int) -> list[int]:
    times: list[int] = []
    started = time.monotonic()
    while len(times) < missing and time.monotonic() - started < _TIMED_SECONDS:
        count = min(len(inputs[0]), missing - len(times), 8)
        times += loaded.run([a[:count] for a in inputs]).nanoseconds
    return times
