"""The device's part of a run: opened, run, lost, found again; verified results by sample number."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgepack.bench.assemble import Counter, DeviceFacts
from edgepack.bench.data import Samples
from edgepack.bench.device import Connect, Device, Job
from edgepack.bench.journal import Journal, JournalKey, SampleResult, journal_path
from edgepack.bench.model_facts import model_facts
from edgepack.errors import DeviceError, DeviceLostError, DeviceSilentError, EdgepackError
from edgepack.manifest import Manifest, TensorInfo
from edgepack.models.progress import Progress
from edgepack.report import schema
from edgepack.types import Array, DType

_WRITE_SECONDS = 2.0  # run.json is refreshed this often, in case edgepack itself is killed
# What may be put right by opening the device again; anything else would only happen once more.
_PASSING = (DeviceLostError, DeviceSilentError)
_FUTILE_RETURNS = 2  # so often a device may come back without completing one more sample
_RETURNS = 20  # and so often altogether: a device that restarts all the time is broken


@dataclass(frozen=True)
class RunOptions:
    """How a run is made.

    json_path: where run.json goes; the journal of an unfinished run lies beside it.
    save_outputs: where the device's outputs go as .npz, or None.
    resume: keep the samples that an earlier, unfinished run of the same image and data has done.
    host: also run LiteRT on the host CPU, with `threads` threads.
    oracle: compare with the oracle.
    reconnect: open a device that was lost again and go on; `connect` then waits for its return.
    alone: held while the host is measured, so that runs beside this one do not disturb its times.
    judge: what outputs are compared with. TFLite Micro's interpreter decides whether a run is good;
        LiteRT, for devices that run LiteRT, only says what differs.
    """

    json_path: Path
    save_outputs: Path | None = None
    resume: bool = False
    host: bool = True
    threads: int = 1
    oracle: bool = True
    reconnect: bool = False
    alone: Callable[[], AbstractContextManager[object]] = nullcontext
    judge: Literal["tflm", "litert"] = "tflm"


def is_stateful(manifest: Manifest, model: bytes) -> bool:
    """Whether an inference leaves something behind that the next one reads.

    Such a model has to see all samples in order, so that its run cannot be continued in the middle.
    """
    return manifest.model.stateful or model_facts(model).stateful


@dataclass(frozen=True)
class DeviceRun:
    """What the device did: verified results by sample number, and what stopped it."""

    results: dict[int, SampleResult]
    counter: Counter
    facts: DeviceFacts
    stopped: BaseException | None
    interruptions: tuple[schema.Interruption, ...] = ()

    @property
    def done(self) -> list[int]:
        return sorted(self.results)

    def outputs(self, tensors: Sequence[TensorInfo]) -> list[Array]:
        """Per output an array [done, *shape]."""
        joined = np.frombuffer(
            b"".join(self.results[i].outputs for i in self.done), np.uint8
        ).reshape(len(self.done), -1)
        arrays, start = [], 0
        for tensor in tensors:
            raw = np.ascontiguousarray(joined[:, start : start + tensor.bytes])
            dtype = DType(tensor.dtype).numpy.newbyteorder("<")
            arrays.append(raw.view(dtype).reshape(len(self.done), *tensor.shape))
            start += tensor.bytes
        return arrays


def run_device(
    manifest: Manifest,
    model: bytes,
    samples: Samples,
    connect: Connect,
    options: RunOptions,
    say: Progress,
    write: Callable[[DeviceRun], None],
) -> DeviceRun:
    """Run what is missing; an error before the first answer of the device is raised at once."""
    stateful = is_stateful(manifest, model)
    run: DeviceRun | None = None
    interruptions: list[schema.Interruption] = []
    resume, most, futile = options.resume and not stateful, 0, 0
    while True:
        opened = _Opened(manifest, samples, options, say, write, tuple(interruptions))
        try:
            with connect() as device:
                opened.use(device, resume=resume)
            return opened.run
        except BaseException as error:
            # Caught out here, so that `connect` can add what an emulator said last. A mistake in
            # edgepack itself is no EdgepackError: the journal and the last run.json stay for it.
            mistake = isinstance(error, Exception) and not isinstance(error, EdgepackError)
            if mistake or (run is None and not opened.began):
                raise
            run = replace(opened.run if opened.began or run is None else run, stopped=error)
            done = len(run.results)
            futile = 0 if done > most else futile + 1
            most = max(most, done)
            back = opened.began and options.reconnect and isinstance(error, _PASSING)
            if not back or futile >= _FUTILE_RETURNS or len(interruptions) >= _RETURNS:
                return run
            assert isinstance(error, _PASSING)
            interruptions.append(
                schema.Interruption(error=error.kind, message=error.message, samples_done=done)
            )
            restart = "; the model keeps state: all samples again" if stateful else ""
            say("device", None, f"{error.message}: looking for the device{restart}")
            resume = not stateful


class _Opened:
    """One opening of the device: `run` is what has been done by now."""

    def __init__(
        self,
        manifest: Manifest,
        samples: Samples,
        options: RunOptions,
        say: Progress,
        write: Callable[[DeviceRun], None],
        interruptions: tuple[schema.Interruption, ...],
    ) -> None:
        self._manifest, self._samples, self._options = manifest, samples, options
        self._say, self._write, self._interruptions = say, write, interruptions
        self._run: DeviceRun | None = None

    @property
    def began(self) -> bool:
        """Whether the device has answered."""
        return self._run is not None

    @property
    def run(self) -> DeviceRun:
        """What the device did, with all that earlier openings did."""
        assert self._run is not None
        return self._run

    def use(self, device: Device, *, resume: bool) -> None:
        """Run what is missing; without `resume` everything."""
        samples, say, path = self._samples, self._say, journal_path(self._options.json_path)
        counter = device.counter
        build_id = self._manifest.build_id
        key = JournalKey(build_id, samples.digest, f"{counter.kind}/{counter.hz}")
        with Journal(path, key, resume=resume) as journal:
            _drop_foreign(journal.results, samples.count, self._output_bytes())
            if self._options.resume and not journal.results and not self._interruptions:
                say("device", None, "nothing to resume: starting with the first sample")
            self._run = run = DeviceRun(
                journal.results, counter, DeviceFacts(), None, self._interruptions
            )
            self._write(run)
            written = time.monotonic()
            if len(run.results) == samples.count:
                self._repeat_last(device, run.results)
            for result in device.run(_jobs(samples, skip=set(run.results))):
                journal.add(result)
                done = len(run.results)
                say("device", done / samples.count, f"{done} of {samples.count} samples")
                if time.monotonic() - written > _WRITE_SECONDS:
                    self._write(run)
                    written = time.monotonic()
            self._run = replace(run, facts=device.facts())

    def _repeat_last(self, device: Device, results: dict[int, SampleResult]) -> None:
        """All samples are there, but not the facts, which need a device that has run one."""
        last = self._samples.count - 1
        for again in device.run([Job(last, self._samples.payload(last))]):
            if again.outputs != results[last].outputs:
                raise DeviceError(
                    f"sample {last} gave other output bytes than before the interruption",
                    next_step="run the same command without --resume",
                )

    def _output_bytes(self) -> int:
        return sum(tensor.bytes for tensor in self._manifest.model.outputs)


def _drop_foreign(results: dict[int, SampleResult], count: int, expected: int) -> None:
    """Forget journal lines that no run of these samples can have written."""
    for index, result in list(results.items()):
        if not 0 <= index < count or len(result.outputs) != expected:
            del results[index]


def _jobs(samples: Samples, skip: set[int]) -> Iterator[Job]:
    for index in range(samples.count):
        if index not in skip:
            yield Job(index, samples.payload(index))
