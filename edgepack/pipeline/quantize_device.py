"""The third column of an evaluation: the quantized model on the board, by the bench half."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.bench.model_facts import model_facts
from edgepack.bench.parity import compare_outputs
from edgepack.bench.project import RUN_NAME, BenchRequest, bench
from edgepack.errors import ParityError, UsageError
from edgepack.flash import flash_project
from edgepack.manifest import read_manifest
from edgepack.models.dataset import Samples
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.quantize.columns import Judge, Tested, ends, judged, real_outputs, stored_as
from edgepack.quantize.int8 import write_samples
from edgepack.quantize.observe import streams
from edgepack.quantize.qat import litert_outputs, stored_inputs
from edgepack.report.schema import RunReport, read_run
from edgepack.targets import Kind, load_target
from edgepack.types import Array

DEFAULT_SAMPLES = 100


@dataclass(frozen=True)
class OnDevice:
    """Where to run.

    Attributes:
        target: a board, emulated or attached, or the host.
        samples: how many of those that are evaluated, at even distances.
        port: of an attached board; None starts the emulator or program.
    """

    target: str
    samples: int = DEFAULT_SAMPLES
    port: str | None = None


def check_device(asked: OnDevice) -> None:
    """Refuse, before anything else is done, a device that could not be evaluated on.

    Raises:
        ConfigError: there is no such target.
        UsageError: a phone, or a real board without a port.
    """
    target = load_target(asked.target)
    if target.kind is Kind.PHONE:
        raise UsageError(
            f"{target.id} is a phone, and --device is about boards",
            next_step=f"edgepack bench OUT.tflite --target {target.id} --data TEST.npz",
        )
    if target.kind is Kind.HARDWARE and asked.port is None:
        raise UsageError(
            f"{target.id} is a real board, and no port is given", next_step="add --port PORT"
        )


def evaluate_on_device(
    tested: Tested, asked: OnDevice, by: Judge, progress: Progress = silent
) -> dict[str, Any]:
    """Build, run samples on the device, and judge all three columns on the same samples.

    Bytes that differ from TensorFlow Lite Micro's are counted (`oracle`, of integer models none
    should), and those that differ from the host's column (`host`: LiteRT rounds otherwise).

    Args:
        tested: models and samples.
        asked: where.
        by: how outputs are judged.
        progress: told of each step.

    Raises:
        EdgepackError: the model cannot be built for the target, or the device did not run it.
    """
    check_device(asked)
    part, positions = tested.spread(asked.samples)
    columns = [np.concatenate(column) for column in zip(*part.samples, strict=True)]
    stored = stored_inputs(part.made, Samples(tuple(columns), None))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_samples(folder / "samples.npz", Samples(tuple(stored), None))
        report, device = _run(part.made, asked, folder, progress)
    forms = stored_as(ends(part.made)[1])
    name, host = litert_outputs(part.made, stored)
    device = [a.reshape(b.shape) for a, b in zip(device, host, strict=True)]
    real = [v if p is None else p.real(v) for v, p in zip(device, forms, strict=True)]
    exact = real_outputs(part.exact, part.samples, progress, "evaluate float")
    on_host = [v if p is None else p.real(v) for v, p in zip(host, forms, strict=True)]
    return {
        "target": report.target.id,
        "kind": report.target.kind,
        "samples": len(positions),
        "of": len(tested.samples),
        "stateful": model_facts(part.made).stateful and not streams(part.made),
        **judged("float", exact, part.labels, by),
        **judged("quantized", on_host, part.labels, by),
        **judged("device", real, part.labels, by),
        "oracle": None if report.parity is None else report.parity.model_dump(mode="json"),
        "host": {"kernels": name, **asdict(compare_outputs(device, host))},
        "instructions": None
        if report.device.instructions is None
        else report.device.instructions.median,
        "latency_us": None if report.device.latency_us is None else report.device.latency_us.median,
        "sizes": None if report.sizes is None else report.sizes.model_dump(mode="json"),
    }


def _run(
    model: bytes, asked: OnDevice, folder: Path, progress: Progress
) -> tuple[RunReport, Sequence[Array]]:
    """The report of the run and the outputs as the device stored them."""
    path, project, outputs = folder / "model.tflite", folder / "project", folder / "out.npz"
    path.write_bytes(model)
    build_project(BuildRequest(path, asked.target), project, progress=progress)
    target = load_target(asked.target)
    if target.kind is Kind.HARDWARE:
        flash_project(project, read_manifest(project), target, port=asked.port, progress=progress)
    request = BenchRequest(
        project, folder / "samples.npz", port=asked.port, save_outputs=outputs, host=False
    )
    try:
        report = bench(request, progress)
    except ParityError:  # counted in the report, which is what this column is for
        report = read_run(project / RUN_NAME)
    with np.load(outputs, allow_pickle=False) as archive:
        return report, [archive[f"output_{i}"] for i in range(len(archive.files))]
