"""`edgepack bench` without its command line: a project directory in, run.json out."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from edgepack.bench.data import Samples, load_samples, random_samples
from edgepack.bench.device import Connect, Device
from edgepack.bench.device_run import RunOptions, is_stateful
from edgepack.bench.phone.settings import PhoneSettings
from edgepack.bench.reconnect import PortConnect, PortSettings
from edgepack.bench.run import bench_project, read_model
from edgepack.bench.session import Session
from edgepack.bench.statistics import summarize
from edgepack.cycles import CycleProbe, prepare
from edgepack.errors import DataError, ProjectError, UsageError
from edgepack.flash import Emulator, Player, choose_emulator, launch, require_image
from edgepack.link.framed import LinkTiming
from edgepack.link.serial_url import BAUD
from edgepack.manifest import Manifest, read_manifest
from edgepack.models.progress import Progress, silent
from edgepack.report import schema
from edgepack.targets import Kind, Target, load_target

RUN_NAME = "run.json"
_RANDOM_SAMPLES = 10
# Bytes a second and seconds: a board that this computer plays gets as little time as the other
# programs leave it. With ten of them on two cores a reply was seen to take 2 s, and to pause for
# 0.3 s in the middle.
_EMULATED_SLOWEST = 400.0
_EMULATED_REPLY = 5.0
_EMULATED_SETTLE = 2.0
# Of the call and the return, which the device takes off as its counter's overhead; 5 were seen.
_EDGE_INSTRUCTIONS = 20


@dataclass(frozen=True)
class BenchRequest:
    """What to run.

    project: a directory that `edgepack build` made.
    data: an .npz of samples (edgepack/bench/data.py), or None for random ones.
    samples: how many; None runs all of `data`, or 10 random ones.
    seed: of the random samples.
    port: a pyserial URL, or None to start the emulator or host program.
    json_path: where run.json goes; None: into the project.
    save_outputs, resume, host, threads, oracle, alone: as in RunOptions.
    inference_seconds: after which a device that is still computing is given up.
    reconnect_seconds: within which a device at a port must be back after it was lost; 0 ends the
        run as soon as it is lost.
    stop: once set, the run ends as if interrupted.
    emulator: what plays an emulated board; auto takes QEMU where it is installed, else unicorn.
    cycles: also model the cycles of each inference; needs an emulated board and a C compiler.
    phone: run on this phone; the project then is one for phones (edgepack/pipeline/phone.py).
    """

    project: Path
    data: Path | None = None
    samples: int | None = None
    seed: int = 0
    port: str | None = None
    json_path: Path | None = None
    save_outputs: Path | None = None
    resume: bool = False
    host: bool = True
    threads: int = 1
    oracle: bool = True
    inference_seconds: float = 60.0
    cycles: bool = False
    emulator: Player = "auto"
    reconnect_seconds: float = 15.0
    alone: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    stop: threading.Event | None = None
    phone: PhoneSettings | None = None


def bench(request: BenchRequest, progress: Progress = silent) -> schema.RunReport:
    """Run a benchmark and write run.json.

    Raises:
        ProjectError, ConfigError: the project or its target is not usable.
        DataError: the samples do not fit the model.
        UsageError: a real board, and no port; a port or a resumed run, and cycles.
        UnsupportedError: cycles of a target without a model.
        WrongImageError: the device runs another image.
        ParityError: the outputs differ from the oracle's; run.json is written.
        EdgepackError: whatever stopped the device; run.json holds what was done.
    """
    if request.phone is not None:
        from edgepack.bench.phone.project import bench_phone  # which needs this module

        return bench_phone(request, request.phone, progress)
    manifest = read_manifest(request.project)
    image = require_image(request.project, manifest)
    target = load_target(manifest.target)
    if not request.cycles:
        return _bench(request, manifest, target, progress)
    if request.port is not None or request.resume:
        raise UsageError(
            "cycles are modelled where edgepack starts the emulator for all samples: not at a "
            "port, and not for the rest of an earlier run"
        )
    chosen = _emulator(request, target)
    if chosen is not None and chosen.name != "qemu":
        raise UsageError(
            f"cycles are modelled by a plugin of QEMU, and {chosen.name} plays {target.id}",
            next_step="--emulator qemu",
        )
    with tempfile.TemporaryDirectory() as folder:
        probe = prepare(image, target, Path(folder))
        report = _bench(request, manifest, target, progress, probe.arguments)
        report = _with_cycles(report, probe)
    schema.write_run(request.json_path or request.project / RUN_NAME, report)
    return report


def _with_cycles(report: schema.RunReport, probe: CycleProbe) -> schema.RunReport:
    """The report with the cycles of its samples; the runs behind them only profiled layers."""
    counted = report.device.instructions
    runs = 0 if counted is None else counted.n
    summary = summarize(probe.cycles()[:runs])
    if counted is None or summary is None:
        return report
    executed = statistics.median(probe.instructions()[:runs])
    if abs(executed - counted.median) > _EDGE_INSTRUCTIONS:
        raise ProjectError(
            f"the emulator's plugin counted {executed:,.0f} instructions of an inference, the "
            f"device {counted.median:,.0f}: the modelled cycles would be wrong"
        )
    modelled = schema.Distribution(
        n=summary.n, min=summary.min, median=summary.median, max=summary.max
    )
    device = report.device.model_copy(
        update={"modelled_cycles": modelled, "cycle_model": probe.table.name}
    )
    return report.model_copy(update={"device": device})


def _bench(
    request: BenchRequest,
    manifest: Manifest,
    target: Target,
    progress: Progress,
    emulator: Sequence[str] = (),
) -> schema.RunReport:
    chosen = _emulator(request, target)
    connect = connect_project(
        request.project,
        manifest,
        target,
        port=request.port,
        inference_seconds=request.inference_seconds,
        emulator=emulator,
        player="auto" if chosen is None else chosen.name,
        patience=request.reconnect_seconds,
        stop=request.stop,
    )
    options = RunOptions(
        json_path=request.json_path or request.project / RUN_NAME,
        save_outputs=request.save_outputs,
        resume=request.resume,
        host=request.host,
        threads=request.threads,
        oracle=request.oracle,
        reconnect=request.port is not None and request.reconnect_seconds > 0,
        alone=request.alone,
    )
    samples = load_request_samples(request, manifest)
    return bench_project(
        request.project, samples, connect, target_record(target, chosen), options, progress
    )


def _emulator(request: BenchRequest, target: Target) -> Emulator | None:
    """What will play the board; None where nothing is emulated, or edgepack starts nothing."""
    if request.port is not None or target.kind is not Kind.EMULATED:
        return None
    return choose_emulator(target, request.emulator)


def connect_project(
    project: Path,
    manifest: Manifest,
    target: Target,
    *,
    port: str | None = None,
    inference_seconds: float = 60.0,
    emulator: Sequence[str] = (),
    player: Player = "auto",
    patience: float = 15.0,
    stop: threading.Event | None = None,
) -> Connect:
    """How to reach the device of a project: its port, or the emulator or program to start.

    The returned function checks that the device runs this project's image.

    Args:
        port: a pyserial URL, or None to start something.
        inference_seconds: after which a device that is still computing is given up.
        emulator: added to an emulator's command line.
        player: which emulator.
        patience: seconds within which a device at a port must be back when it is opened again.
        stop: once set, whoever reads from the device gets a KeyboardInterrupt.
    """

    def check(session: Session) -> None:
        model = manifest.model
        session.verify(
            manifest.build_id,
            [tensor.bytes for tensor in model.inputs],
            [tensor.bytes for tensor in model.outputs],
        )
        most = target.uart.max_baud
        if target.kind is Kind.HARDWARE and most is not None:
            session.raise_baud(most)

    settings = PortSettings(
        port or "",
        target.board.serial.baud or target.soc.uart.baud or BAUD,
        _timing(target, inference_seconds),
        is_stateful(manifest, read_model(project)),
        patience,
        stop,
    )
    if port is not None:
        return PortConnect(settings, check)

    @contextlib.contextmanager
    def connect() -> Iterator[Device]:
        with (
            launch(project, manifest, target, emulator, player) as board,
            PortConnect(replace(settings, url=board.url), check)() as device,
        ):
            yield device

    return connect


def _timing(target: Target, inference_seconds: float) -> LinkTiming:
    """How long to wait for the device of a target."""
    timing = LinkTiming(inference=inference_seconds)
    if target.kind is not Kind.EMULATED:
        return timing
    return replace(
        timing, reply=_EMULATED_REPLY, settle=_EMULATED_SETTLE, slowest=_EMULATED_SLOWEST
    )


def target_record(target: Target, emulator: Emulator | None = None) -> schema.Target:
    """What run.json says about a target, and about what played it."""
    return schema.Target(
        emulator=None
        if emulator is None
        else schema.Emulator(name=emulator.name, version=emulator.version),
        id=target.id,
        cpu=target.cpu,
        clock_hz=target.clock_hz,
        kind=target.kind.value,
        verified=target.verified.value,
    )


def load_request_samples(request: BenchRequest, manifest: Manifest) -> Samples:
    """The samples that a request names, or random ones.

    Raises:
        DataError: they do not fit the model's inputs.
    """
    inputs = manifest.model.inputs
    if not inputs:
        raise DataError(f"model {manifest.model.name} has no inputs: there is nothing to run")
    if request.data is not None:
        return load_samples(request.data, inputs, limit=request.samples)
    count = _RANDOM_SAMPLES if request.samples is None else request.samples
    return random_samples(inputs, count, seed=request.seed)
