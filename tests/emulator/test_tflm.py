"""Runtime tflm with a real TensorFlow Lite Micro, which EDGEPACK_TFLM names: the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import DeviceError, MissingToolError, UsageError
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.report.schema import RunReport
from edgepack.targets import load_target
from edgepack.toolchain import find_tflm
from tests.small_models import small_cnn
from tests.tflite_builder import ModelBuilder, spec

TARGETS = ["host", pytest.param("netduinoplus2", marks=pytest.mark.emulator)]

# What TFLM's planner takes for the time of planning only; a model as small as this has no room for
# it elsewhere.
PLANNER_BYTES = 1024

pytestmark = [
    pytest.mark.needs_oracle,
    pytest.mark.skipif(
        "EDGEPACK_TFLM" not in os.environ,
        reason="EDGEPACK_TFLM names no build of TensorFlow Lite Micro (docs/tflm.md)",
    ),
]


def _run(model: Path, target: str, project: Path, *, arena: int | None = None) -> RunReport:
    try:
        find_tflm(Path(os.environ["EDGEPACK_TFLM"]), load_target(target))
    except (MissingToolError, UsageError) as error:
        pytest.skip(f"EDGEPACK_TFLM has no library for {target}: {error.message.splitlines()[0]}")
    build_project(BuildRequest(model, target, "tflm", tflm_arena=arena), project)
    return bench(BenchRequest(project, samples=4, host=False))


@pytest.mark.parametrize("target", TARGETS)
def test_a_small_network(target: str, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_cnn())
    report = _run(model, target, tmp_path / "project")
    assert (report.runtime, report.status) == ("tflm", "complete")
    assert report.parity is not None and report.parity.mismatched_bytes == 0
    assert report.sizes is not None and report.sizes.flash_bytes.weights >= model.stat().st_size
    used, reserved = report.device.arena_peak_bytes, report.sizes.ram_bytes.arena
    assert used is not None and reserved / 3 < used <= reserved
    tight = _run(model, target, tmp_path / "tight", arena=used + PLANNER_BYTES)
    assert tight.parity is not None and tight.parity.mismatched_bytes == 0
    with pytest.raises(DeviceError, match="arena is smaller"):
        _run(model, target, tmp_path / "small", arena=used // 2 // 16 * 16)


@pytest.mark.parametrize("target", TARGETS)
def test_state_starts_anew(target: str, tmp_path: Path) -> None:
    """A resource variable: TFLM needs an allocator of its own for it, and each run begins at 0."""
    m = ModelBuilder()
    x = m.input("x", (1, 4), "INT8", 0.5, 0)
    handle = m.resource("state")
    (old,) = m.op("READ_VARIABLE", [handle], [spec((1, 4), "INT8", 0.5, 0)])
    (new,) = m.op("ADD", [old, x], [spec((1, 4), "INT8", 0.5, 0)])
    m.op("ASSIGN_VARIABLE", [handle, new], [])
    m.output(new)
    model = tmp_path / "state.tflite"
    model.write_bytes(m.build())
    report = _run(model, target, tmp_path / "project")
    assert report.parity is not None and report.parity.mismatched_bytes == 0


@pytest.mark.needs_data
@pytest.mark.parametrize("target", TARGETS)
def test_kws(target: str, real_data: Path, tmp_path: Path) -> None:
    model = real_data / "mlperf_tiny" / "kws_int8.tflite"
    report = _run(model, target, tmp_path / "project")
    assert report.parity is not None and report.parity.mismatched_bytes == 0
