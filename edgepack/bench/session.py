"""Drives one device through a run: who are you, inferences, layers, memory.

A `Session` is the `Device` that `bench.run` asks for, carried by a framed link. What it returns has
been confirmed by CRC at both ends; a device that falls silent, restarts or fails is a typed error.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edgepack.bench.assemble import Counter, CounterKind, DeviceFacts
from edgepack.bench.device import Job
from edgepack.bench.journal import SampleResult
from edgepack.errors import DataError, DeviceError, WrongImageError
from edgepack.link.base import ByteLink
from edgepack.link.framed import FramedClient, LinkTiming
from edgepack.link.inference import Outcome, Wanted
from edgepack.link.messages import STATUS_NAMES, DeviceInfo, LayerRecord, MemoryPeaks, TicksKind
from edgepack.link.serial_url import BAUD, open_link
from edgepack.link.transfer import Transfer

_ARENA_TOO_SMALL = 2  # EP_ERR_ARENA_SIZE of firmware/runtime/ep_runtime.h
_COUNTER_KINDS: dict[TicksKind, CounterKind] = {
    TicksKind.TIME: "time",
    TicksKind.CYCLES: "cycles",
    TicksKind.INSTRUCTIONS: "instructions",
}
_PROFILE_RUNS = 5  # of a clock, of which the median counts; counted instructions need one


@dataclass(frozen=True)
class InferResult:
    """One inference: bytes of all outputs, and net ticks (the counter's overhead taken off)."""

    outputs: bytes
    ticks: int


@dataclass(frozen=True)
class LayerTicks:
    """Net ticks of one layer in one inference."""

    layer: int
    ticks: int


@dataclass(frozen=True)
class RepeatTicks:
    """Net ticks of repeated inferences on arbitrary data."""

    count: int
    least: int
    mean: float
    most: int


class Session:
    """A greeted device.

    Args:
        link: an open link; the caller closes it.
        timing: how long to wait.
        stateful: the model keeps state between inferences, so that no inference may be made twice.

    Raises:
        DeviceSilentError, ProtocolError: nobody answers, or in another protocol.
        DeviceError: the model on the device failed to initialise.
    """

    def __init__(
        self, link: ByteLink, *, timing: LinkTiming | None = None, stateful: bool = False
    ) -> None:
        self._client = FramedClient(link, timing)
        self.info: DeviceInfo = self._client.hello()
        if self.info.status != 0:
            raise _not_initialised(link.name, self.info.status)
        self._transfer = Transfer(self._client, sum(self.info.output_bytes), stateful=stateful)
        self._last: bytes | None = None

    @property
    def counter(self) -> Counter:
        """What the device's ticks are."""
        return Counter(_COUNTER_KINDS[self.info.ticks_kind], self.info.ticks_hz)

    def identify(self) -> DeviceInfo:
        """Ask again who the device is; ends a transfer in progress."""
        self.info = self._client.hello()
        return self.info

    def verify(
        self, build_id: str, input_bytes: Sequence[int], output_bytes: Sequence[int]
    ) -> None:
        """Make sure that the device runs the image that was built.

        Raises:
            WrongImageError: it runs something else.
        """
        info = self.info
        same_shape = (info.input_bytes, info.output_bytes) == (
            tuple(input_bytes),
            tuple(output_bytes),
        )
        if info.build_id != build_id or not same_shape:
            raise WrongImageError(
                f"the device at {self._client.link.name} runs another image: model {info.name}, "
                f"build {info.build_id}",
                allowed=f"build {build_id}",
                next_step="edgepack flash DIR",
            )

    def raise_baud(self, limit: int) -> int:
        """Move to the fastest rate that the device can do, at most `limit`.

        Returns:
            The rate in use.
        """
        rate = min(limit, self.info.max_baud)
        if rate > self._client.link.baud:
            self.info = self._client.set_baud(rate)
        return self._client.link.baud

    def set_timing(self, timing: LinkTiming) -> None:
        """Change how long this side waits from now on."""
        self._client.timing = timing

    def start(self) -> None:
        """Bring the model to its initial state and restart the memory peaks."""
        self._client.init(paint=True)

    def infer(self, sample: bytes) -> InferResult:
        """One inference.

        Args:
            sample: the bytes of all inputs, concatenated.

        Raises:
            DataError: the sample has another size than the model's inputs.
            DeviceError: the model failed.
            DeviceSilentError, DeviceLostError: the device hangs, or is gone.
        """
        outcome = self._infer(sample, Wanted())
        return InferResult(outcome.outputs, self._net(outcome.ticks))

    def time(self, sample: bytes, repeat: int) -> RepeatTicks:
        """Net ticks of `repeat` inferences after one of `sample`, which they find used up."""
        times = self._infer(sample, Wanted(repeat=repeat)).times
        assert times is not None  # Transfer returns without them only when none were wanted
        overhead = self.info.overhead
        return RepeatTicks(
            times.count,
            self._net(times.least),
            max(0.0, times.total / times.count - overhead),
            self._net(times.most),
        )

    def layer_digests(self, sample: bytes) -> tuple[LayerRecord, ...]:
        """CRC-32 and raw ticks of every layer's outputs, in order of execution."""
        return self._infer(sample, Wanted(layers=True)).layers

    def profile(self, sample: bytes) -> tuple[LayerTicks, ...]:
        """Net ticks of every layer in one inference."""
        ticks: dict[int, int] = {}
        for record in self.layer_digests(sample):
            ticks[record.layer] = ticks.get(record.layer, 0) + self._net(record.ticks)
        return tuple(LayerTicks(layer, count) for layer, count in ticks.items())

    def read_layer(self, sample: bytes, layer: int, output: int = 0) -> bytes:
        """The bytes of one output of one layer in an inference of `sample`."""
        dumped = self._infer(sample, Wanted(dump=(layer, output))).dumped
        assert dumped is not None  # Transfer returns without it only when none was wanted
        return dumped

    def memory(self) -> MemoryPeaks:
        """Bytes of memory used since `start`."""
        return self._client.memory()

    def run(self, jobs: Iterable[Job]) -> Iterator[SampleResult]:
        """Run inferences in order, from the model's initial state.

        Yields:
            One verified result per job.
        """
        self.start()
        for job in jobs:
            result = self.infer(job.payload)
            yield SampleResult(job.index, result.outputs, result.ticks)

    def facts(self) -> DeviceFacts:
        """Memory peaks since `run` began, and the time of each layer for its last sample."""
        peaks = self.memory()  # first: a profiled inference needs more stack
        return DeviceFacts(
            stack_peak=peaks.stack_peak if peaks.stack_bytes else None,
            arena_peak=peaks.arena_peak,
            layer_ticks=self._layer_ticks(),
        )

    def _layer_ticks(self) -> list[float] | None:
        if self._last is None or self.info.layers == 0:
            return None
        exact = self.info.ticks_kind is TicksKind.INSTRUCTIONS
        runs = [self.profile(self._last) for _ in range(1 if exact else _PROFILE_RUNS)]
        return [statistics.median(run[i].ticks for run in runs) for i in range(len(runs[0]))]

    def _infer(self, sample: bytes, wanted: Wanted) -> Outcome:
        expected = sum(self.info.input_bytes)
        if len(sample) != expected:
            raise DataError(
                f"a sample of {len(sample)} bytes does not fit model {self.info.name}",
                allowed=f"{expected} bytes: the inputs {list(self.info.input_bytes)} in order",
            )
        self._last = sample
        return self._transfer.infer(sample, wanted)

    def _net(self, ticks: int) -> int:
        return max(0, ticks - self.info.overhead)

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent and received so far, framing included."""
        return self._client.sent, self._client.stream.received


def _not_initialised(name: str, status: int) -> DeviceError:
    again = "edgepack build the project again, then edgepack flash it"
    if status == _ARENA_TOO_SMALL:  # only TFLM plans its arena on the device
        again = "edgepack build ... --runtime tflm --tflm-arena BYTES, with more bytes"
    reason = STATUS_NAMES.get(status, "unknown")
    return DeviceError(
        f"the model on {name} failed to initialise (status {status}: {reason})", next_step=again
    )


@contextmanager
def open_session(
    url: str,
    *,
    baud: int = BAUD,
    timing: LinkTiming | None = None,
    stateful: bool = False,
    check: Callable[[Session], None] | None = None,
    patience: float = 5.0,
    stop: threading.Event | None = None,
) -> Iterator[Session]:
    """Open a port, greet the device, and release the port when the block is left.

    Args:
        url: as for `open_link`.
        check: called with the session before the block, such as a call of `Session.verify`.
        patience: seconds during which a refused connection is tried again.
        stop: once set, reading raises KeyboardInterrupt.
    """
    link = open_link(url, baud=baud, timeout=patience, stop=stop)
    try:
        session = Session(link, timing=timing, stateful=stateful)
        if check is not None:
            check(session)
        yield session
    finally:
        link.close()
