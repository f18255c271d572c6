"""Build a model for an emulated board, run it, and gather what it takes there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edgepack.bench.project import RUN_NAME, BenchRequest, bench
from edgepack.cycles import TABLES
from edgepack.errors import EdgepackError, ParityError
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.report.schema import RunReport, read_run
from edgepack.targets import load_target

SAMPLES = 3  # instructions hardly depend on the data; parity on many samples is the tests' matter
Optimize = Literal["speed", "size", "ram", "balanced"]


@dataclass(frozen=True)
class Figures:
    """One model on one target.

    instructions: the median of one inference, counted exactly by the emulator. flash: bytes of the
    whole image that speaks frames only; flash_full: of the one that also speaks MLPerf Tiny's text
    protocol, None where it was not built. ram: static + arena + stack, in bytes, the stack as deep
    as it was seen and not what is reserved. mismatched_bytes: of the outputs, against the oracle.
    modelled_cycles: the median of one inference by `cycle_model`, None where it was not asked for
    or the core has no model.
    """

    instructions: float
    macs: int
    flash: int
    flash_full: int | None
    ram: int
    static: int
    arena: int
    stack: int
    mismatched_bytes: int
    modelled_cycles: float | None = None
    cycle_model: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def core_of(target: str) -> str:
    """The core of a target, as floor.json calls it."""
    return load_target(target).soc.cpu.core


def measure(
    model: Path,
    target: str,
    folder: Path,
    *,
    samples: int = SAMPLES,
    full_image: bool = True,
    optimize: Optimize = "balanced",
    cycles: bool = False,
    progress: Progress = silent,
) -> Figures:
    """Build and run a model; wrong outputs are a figure here, not an error.

    Args:
        model: a .tflite file.
        target: an emulated board.
        folder: where the projects may lie.
        samples: random inputs to run.
        full_image: also build the image with the text protocol, for its size.
        optimize: as in BuildRequest.
        cycles: also model cycles, where the core has a model.
        progress: told of the build and the run.

    Raises:
        EdgepackError: it could not be built or run.
    """
    project = folder / f"{model.stem}-{target}"
    request = BuildRequest(model, target, optimize=optimize, protocol="framed")
    build_project(request, project, progress=progress)
    try:
        modelled = cycles and core_of(target) in TABLES
        report = bench(
            BenchRequest(project, samples=samples, host=False, cycles=modelled), progress
        )
    except ParityError:
        report = read_run(project / RUN_NAME)
    full = None
    if full_image:
        whole = build_project(
            BuildRequest(model, target, optimize=optimize), folder / f"{project.name}-full"
        )
        full = None if whole.sizes is None else whole.sizes.flash_total
    return _figures(report, full)


def _figures(report: RunReport, flash_full: int | None) -> Figures:
    sizes, parity, counted = report.sizes, report.parity, report.device.instructions
    if sizes is None or parity is None or counted is None:
        raise EdgepackError(
            f"{report.model.name} on {report.target.id} was not measured whole: "
            f"sizes {sizes is not None}, parity {parity is not None}, "
            f"instructions {counted is not None}"
        )
    ram, modelled = sizes.ram_bytes, report.device.modelled_cycles
    if ram.stack_peak is None:
        raise EdgepackError(f"{report.target.id} did not report its stack")
    return Figures(
        instructions=counted.median,
        macs=report.model.macs,
        flash=sizes.flash_bytes.total,
        flash_full=flash_full,
        ram=ram.static + ram.arena + ram.stack_peak,
        static=ram.static,
        arena=ram.arena,
        stack=ram.stack_peak,
        mismatched_bytes=parity.mismatched_bytes,
        modelled_cycles=None if modelled is None else modelled.median,
        cycle_model=report.device.cycle_model,
    )
