"""One benchmark run: device, oracle and host on the same samples, and what comes of it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgepack import __version__
from edgepack.bench.assemble import (
    Evidence,
    accuracy_record,
    build_report,
)
from edgepack.bench.data import Samples, save_outputs
from edgepack.bench.device import Connect
from edgepack.bench.device_run import DeviceRun, RunOptions, run_device
from edgepack.bench.host_reference import HostResult, run_host
from edgepack.bench.journal import journal_path
from edgepack.bench.oracle import TFLM_INSTALL, TFLM_MISSING, Oracle
from edgepack.bench.parity import Parity, compare_outputs
from edgepack.errors import (
    EdgepackError,
    ParityError,
    ProjectError,
)
from edgepack.manifest import Manifest, read_manifest
from edgepack.models.progress import Progress, silent
from edgepack.report import schema
from edgepack.types import Array


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

    def write(device: DeviceRun) -> None:
        schema.write_run(
            options.json_path,
            build_report(_evidence(manifest, target, len(model), samples, device)),
        )

    device = run_device(manifest, model, samples, connect, options, say, write)
    stopped = device.stopped
    evidence = _evidence(manifest, target, len(model), samples, device)
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
    if options.judge == "tflm":
        _demand_parity(report, options.json_path)
    return report


def _evidence(
    manifest: Manifest,
    target: schema.Target,
    model_bytes: int,
    samples: Samples,
    device: DeviceRun,
) -> Evidence:
    stopped = device.stopped
    failure = stopped if isinstance(stopped, EdgepackError) else None
    if stopped is not None and failure is None:
        failure = EdgepackError("interrupted", next_step="edgepack bench --resume")
    return Evidence(
        manifest=manifest,
        target=target,
        model_bytes=model_bytes,
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
    device: DeviceRun,
    options: RunOptions,
    say: Progress,
) -> Evidence:
    done = device.done
    inputs = [array[done] for array in samples.inputs]
    actual = device.outputs(evidence.manifest.model.outputs)
    expected: tuple[Array, ...] | None = None
    if options.oracle:
        with Oracle(model, options.judge) as oracle:
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
