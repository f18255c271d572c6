"""What a benchmark asks of a device, whatever carries it: a serial link, an emulator, a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from edgepack.bench.assemble import Counter, DeviceFacts
from edgepack.bench.journal import SampleResult


@dataclass(frozen=True)
class Job:
    """One inference to be made: the sample's number and the bytes of its inputs."""

    index: int
    payload: bytes


class Device(Protocol):
    """A device that runs the image of a project."""

    @property
    def counter(self) -> Counter:
        """What the device's ticks are."""
        ...

    def run(self, jobs: Iterable[Job]) -> Iterator[SampleResult]:
        """Run inferences in order, from the model's initial state; state carries over.

        Every result yielded is verified (its bytes arrived whole). Raises an EdgepackError when the
        device is silent, lost, or reports a failure; what was yielded before stays true.
        """
        ...

    def facts(self) -> DeviceFacts:
        """Memory peaks since the model was initialised, and the time of each layer."""
        ...


# Opens the device of a project; leaving the block releases the port and ends an emulator.
Connect = Callable[[], AbstractContextManager[Device]]
