"""A project directory and samples -> a run on its device, compared with oracle and host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgepack.bench.data import Samples, load_samples, random_samples
from edgepack.bench.device import Connect, Device
from edgepack.bench.model_facts import model_facts
from edgepack.bench.run import RunOptions, bench_project, read_model
from edgepack.bench.session import Session, open_session
from edgepack.errors import DataError
from edgepack.flash import launch, require_image
from edgepack.link.framed import LinkTiming
from edgepack.manifest import Manifest, read_manifest
from edgepack.models.progress import Progress, silent
from edgepack.report import schema
from edgepack.targets import Kind, Target, load_target

RUN_NAME = "run.json"
DEFAULT_BAUD = 115200
RANDOM_SAMPLES = 10  # when there are no data: enough to see every output move


@dataclass(frozen=True)
class BenchRequest:
    """What to run.

    Attributes:
        project: a directory that `edgepack build` made.
        data: an .npz of samples; without it, seeded random inputs.
        samples: how many of them; by default all, or `RANDOM_SAMPLES`.
        seed: of the random inputs.
        port: a pyserial URL of a device that runs already; without it the target is started.
        json_path: where run.json goes; by default into the project.
        save_outputs: where the device's outputs go, as .npz.
        resume: complete an earlier run that was cut short.
        host: also run the samples on this computer, with `threads` threads.
        inference_seconds: after which a device that is still computing is given up.
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
    inference_seconds: float = 60.0

    @property
    def report_path(self) -> Path:
        """Where run.json goes."""
        return self.json_path or self.project / RUN_NAME


def bench(request: BenchRequest, progress: Progress = silent) -> schema.RunReport:
    """Run samples on the device of a project and write run.json.

    Raises:
        ProjectError: there is no project, or it was not compiled.
        DataError: the samples do not fit the model.
        ParityError: the device computed something else than the oracle; run.json is written.
        EdgepackError: whatever stopped the device; run.json holds what was done before.
    """
    manifest = read_manifest(request.project)
    require_image(request.project, manifest)
    target = load_target(manifest.target)
    samples = _samples(request, manifest)
    connect = _connector(request, manifest, target)
    options = RunOptions(
        request.report_path,
        request.save_outputs,
        request.resume,
        host=request.host,
        threads=request.threads,
    )
    return bench_project(
        request.project, samples, connect, describe_target(target), options, progress
    )


def describe_target(target: Target) -> schema.Target:
    """What run.json says about a target."""
    return schema.Target(
        id=target.id,
        cpu=target.cpu,
        clock_hz=target.clock_hz,
        kind=target.kind.value,
        verified=target.verified.value,
    )


def _samples(request: BenchRequest, manifest: Manifest) -> Samples:
    inputs = manifest.model.inputs
    if not inputs:
        raise DataError(f"model {manifest.model.name} has no inputs: there is nothing to run")
    if request.data is None:
        count = RANDOM_SAMPLES if request.samples is None else request.samples
        return random_samples(inputs, count, seed=request.seed)
    return load_samples(request.data, inputs, limit=request.samples)


def _connector(request: BenchRequest, manifest: Manifest, target: Target) -> Connect:
    facts = model_facts(read_model(request.project))
    # a port without a rate (a socket) ignores it
    baud = target.board.serial.baud or target.soc.uart.baud or DEFAULT_BAUD

    def check(session: Session) -> None:
        model = manifest.model
        session.verify(
            manifest.build_id, [t.bytes for t in model.inputs], [t.bytes for t in model.outputs]
        )
        if target.kind is Kind.HARDWARE and target.soc.uart.max_baud is not None:
            session.raise_baud(target.soc.uart.max_baud)

    @contextmanager
    def connect() -> Iterator[Device]:
        with (
            _port(request, manifest, target) as url,
            open_session(
                url,
                baud=baud,
                timing=LinkTiming(inference=request.inference_seconds),
                stateful=facts.stateful,
                check=check,
            ) as session,
        ):
            yield session

    return connect


@contextmanager
def _port(request: BenchRequest, manifest: Manifest, target: Target) -> Iterator[str]:
    """The port to open: the user's, or that of an emulator started for the run."""
    if request.port is not None:
        yield request.port
        return
    with launch(request.project, manifest, target) as board:
        yield board.url
