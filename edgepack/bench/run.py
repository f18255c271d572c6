"""One benchmark run: device, oracle and host on the same samples, and what comes of it."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgepack import __version__
from edgepack.bench.assemble import (
    Counter,
    DeviceFacts,
    Evidence,
    accuracy_record,
    build_report,
)
from edgepack.bench.data import Samples, save_outputs
from edgepack.bench.device import Connect, Device, Job
from edgepack.bench.host_reference import HostResult, run_host
from edgepack.bench.journal import Journal, JournalKey, SampleResult, journal_path
from edgepack.bench.model_facts import model_facts
from edgepack.bench.oracle import TFLM_INSTALL, TFLM_MISSING, Oracle
from edgepack.bench.parity import Parity, compare_outputs
from edgepack.errors import (
    DeviceError,
    DeviceLostError,
    DeviceSilentError,
    EdgepackError,
    ParityError,
    ProjectError,
)
from edgepack.manifest import Manifest, TensorInfo, read_manifest
from edgepack.models.progress import Progress, silent
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
    """

    json_path: Path
    save_outputs: Path | None = None
    resume: bool = False
    host: bool = True
    threads: int = 1
    oracle: bool = True
    reconnect: bool = False
    alone: Callable[[], AbstractContextManager[object]] = nullcontext


def is_stateful(manifest: Manifest, model: bytes) -> bool:
    """Whether an inference leaves something behind that the next one reads.

    Such a model has to see all samples in order, so that its run cannot be continued in the middle.
    """
    return manifest.model.stateful or model_facts(model).stateful


def bench_project(
    project: Path,
    samples: Samples,
    connect: Connect,
    target: schema.Target,
    options: RunOptions,
    progress: Progress = silent,
) -> schema.RunReport:
    """Run samples on the device of a project, compare, and write run.json.

    The device runs first, sample by sample into the journal; then the oracle and the host run the
    samples that the device has done. Whatever ends the run early, run.json is valid, says what is
    missing, and `options.resume` completes it.

    Args:
        project: a directory that `edgepack build` made.
        samples: what to run, made for the inputs in the project's manifest.
        connect: opens the device.
        target: what run.json says about the target.
        options: see RunOptions.
        progress: told of each stage.

    Raises:
        ParityError: the device computed something else than the oracle; run.json is written.
        EdgepackError: whatever stopped the device; run.json holds the samples done before.
        ProjectError: the project lacks its manifest or model.
    """
    say = progress
    manifest = read_manifest(project)
    model = read_model(project)

    def write(device: _DeviceRun) -> None:
        schema.write_run(
            options.json_path, build_report(_evidence(manifest, target, samples, device))
        )

    device = _run_device(manifest, model, samples, connect, options, say, write)
    stopped = device.stopped
    evidence = _evidence(manifest, target, samples, device)
    if device.done and (stopped is None or isinstance(stopped, EdgepackError)):
        try:
            evidence = _compare(evidence, model, samples, device, options, say)
        except EdgepackError as error:
            # the oracle or the host failed: the device's results are still worth keeping
            stopped = stopped or error
            evidence = replace(evidence, failure=evidence.failure or error)
    report = build_report(evidence)
    schema.write_run(options.json_path, report)
    if options.save_outputs is not None and device.done:
        save_outputs(options.save_outputs, device.outputs(manifest.model.outputs))
    if stopped is not None:
        raise stopped
    journal_path(options.json_path).unlink(missing_ok=True)
    _demand_parity(report, options.json_path)
    return report


@dataclass(frozen=True)
class _DeviceRun:
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


def _run_device(
    manifest: Manifest,
    model: bytes,
    samples: Samples,
    connect: Connect,
    options: RunOptions,
    say: Progress,
    write: Callable[[_DeviceRun], None],
) -> _DeviceRun:
    """Run what is missing; an error before the first answer of the device is raised at once."""
    stateful = is_stateful(manifest, model)
    run: _DeviceRun | None = None
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
        write: Callable[[_DeviceRun], None],
        interruptions: tuple[schema.Interruption, ...],
    ) -> None:
        self._manifest, self._samples, self._options = manifest, samples, options
        self._say, self._write, self._interruptions = say, write, interruptions
        self._run: _DeviceRun | None = None

    @property
    def began(self) -> bool:
        """Whether the device has answered."""
        return self._run is not None

    @property
    def run(self) -> _DeviceRun:
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
            self._run = run = _DeviceRun(
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


def _evidence(
    manifest: Manifest, target: schema.Target, samples: Samples, device: _DeviceRun
) -> Evidence:
    stopped = device.stopped
    failure = stopped if isinstance(stopped, EdgepackError) else None
    if stopped is not None and failure is None:
        failure = EdgepackError("interrupted", next_step="edgepack bench --resume")
    return Evidence(
        manifest=manifest,
        target=target,
        version=__version__,
        origin=samples.origin,
        digest=samples.digest,
        requested=samples.count,
        done=device.done,
        counter=device.counter,
        ticks=[device.results[i].ticks for i in device.done],
        facts=device.facts,
        failure=failure,
        interruptions=device.interruptions,
    )


def _compare(
    evidence: Evidence,
    model: bytes,
    samples: Samples,
    device: _DeviceRun,
    options: RunOptions,
    say: Progress,
) -> Evidence:
    done = device.done
    inputs = [array[done] for array in samples.inputs]
    actual = device.outputs(evidence.manifest.model.outputs)
    expected: tuple[Array, ...] | None = None
    if options.oracle:
        with Oracle(model) as oracle:
            expected = oracle.run(inputs, progress=_counted(say, "oracle", len(done)))
            evidence = replace(evidence, oracle=oracle.name, parity=_parity(actual, expected, done))
    host: HostResult | None = None
    if options.host:
        with options.alone():
            host = run_host(
                model, inputs, threads=options.threads, progress=_counted(say, "host", len(done))
            )
        evidence = replace(evidence, host=host, host_cpu=host_cpu())
    if samples.labels is not None:
        accuracy = accuracy_record(
            samples.labels[done],
            actual[0],
            host.outputs[0] if host is not None else None,
            expected[0] if expected is not None else None,
        )
        evidence = replace(evidence, accuracy=accuracy)
    return evidence


def _parity(actual: Sequence[Array], expected: Sequence[Array], done: Sequence[int]) -> Parity:
    for i, (got, want) in enumerate(zip(actual, expected, strict=True)):
        if got.nbytes != want.nbytes or got.dtype != want.dtype:
            raise ProjectError(
                f"output {i} of the project has {got.nbytes // len(got)} bytes of {got.dtype}, "
                f"the model's has {want.nbytes // len(want)} bytes of {want.dtype}",
                next_step="edgepack build MODEL --target TARGET --out PROJECT",
            )
    return compare_outputs(
        [got.reshape(want.shape) for got, want in zip(actual, expected, strict=True)],
        expected,
        numbers=done,
    )


def _demand_parity(report: schema.RunReport, path: Path) -> None:
    parity = report.parity
    if parity is None or parity.first_mismatch is None:
        return
    first = parity.first_mismatch
    raise ParityError(
        f"{report.model.name} on {report.target.id}: {parity.mismatched_bytes} of {parity.bytes} "
        f"output bytes differ from {parity.oracle}; first at sample {first.sample}, output "
        f"{first.output}, element {first.index}: got {first.actual}, expected {first.expected}",
        allowed="every byte equal"
        if parity.tolerance == 0
        else f"a difference of {parity.tolerance:g} * (1 + |expected|)",
        next_step=f"{path} holds the whole comparison"
        if TFLM_MISSING not in parity.oracle
        else f"{TFLM_INSTALL} (the stand-in oracle itself may differ from TFLM)",
    )


def _counted(say: Progress, stage: str, total: int) -> Callable[[int], None]:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        say(stage, done / total, f"{done} of {total} samples")

    return count


def read_model(project: Path) -> bytes:
    """The .tflite file of a project.

    Raises:
        ProjectError: it cannot be read.
    """
    path = project / "model.tflite"
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProjectError(
            f"cannot read {path}: {error.strerror}",
            next_step=f"edgepack build MODEL --target TARGET --out {project}",
        ) from error


def host_cpu() -> str | None:
    """The host CPU's model name (Linux: /proc/cpuinfo), or what Python knows of it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # no such file on other systems, or not readable: ask Python instead
    return platform.processor() or platform.machine() or None
