"""Modelled cycles of real images: the plugin sees what the device counts, or the run fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.bench.project import RUN_NAME, BenchRequest, bench
from edgepack.cycles import TABLES
from edgepack.errors import UnsupportedError, UsageError
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.report.schema import read_run
from edgepack.targets import load_target
from tests.small_models import small_cnn

pytestmark = [pytest.mark.emulator, pytest.mark.needs_oracle]


def _project(tmp_path: Path, target: str) -> Path:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_cnn())
    project = tmp_path / "project"
    build_project(BuildRequest(model, target, protocol="framed"), project)
    return project


@pytest.mark.parametrize(
    "target", ["netduinoplus2", "mps2-an385", "mps2-an385-m0plus", "mps3-an547"]
)
def test_cycles_of_every_inference(tmp_path: Path, target: str) -> None:
    project = _project(tmp_path, target)
    report = bench(BenchRequest(project, samples=3, host=False, cycles=True))
    device = report.device
    assert device.modelled_cycles is not None and device.instructions is not None
    assert device.modelled_cycles.n == 3
    assert device.cycle_model == TABLES[load_target(target).soc.cpu.core].name
    # no core of these issues more than one instruction a cycle, loop ends of Cortex-M55 aside
    assert device.modelled_cycles.min > 0.8 * device.instructions.min
    assert read_run(project / RUN_NAME) == report


def test_cores_without_a_table_are_refused(tmp_path: Path) -> None:
    project = _project(tmp_path, "mps2-an505")
    with pytest.raises(UnsupportedError, match="cortex-m33"):
        bench(BenchRequest(project, samples=1, host=False, cycles=True))
    with pytest.raises(UsageError, match="at a port"):
        bench(BenchRequest(project, samples=1, port="socket://127.0.0.1:1", cycles=True))
