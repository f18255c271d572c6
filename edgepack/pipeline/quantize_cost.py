"""What a quantized model costs on a target: instructions, counted by its emulator."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import EdgepackError
from edgepack.models.progress import Progress, silent
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import Kind, load_target

_SAMPLES = 2


def instructions(model: bytes, target: str, progress: Progress = silent) -> tuple[int | None, str]:
    """Instructions of one inference (the median of a few random samples).

    Args:
        model: a `.tflite`.
        target: whose emulator counts.
        progress: told of each step.

    Returns:
        The count, or None and why there is none: no emulated target, or one that cannot run it.
    """
    if load_target(target).kind is not Kind.EMULATED:
        return None, f"{target} is no emulated target"
    with tempfile.TemporaryDirectory() as folder:
        path, project = Path(folder) / "model.tflite", Path(folder) / "project"
        path.write_bytes(model)
        try:
            build_project(BuildRequest(path, target), project, progress=progress)
            request = BenchRequest(project, samples=_SAMPLES, host=False, oracle=False)
            report = bench(request, progress)
        except EdgepackError as error:
            return None, error.message
    counted = report.device.instructions
    if counted is None:
        return None, f"{target} has no counter of instructions"
    return int(counted.median), ""
