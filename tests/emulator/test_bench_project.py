"""`bench` on emulated boards: the same bytes as TFLM, instructions and no latency."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.bench.project import BenchRequest, bench
from edgepack.pipeline.build import BuildRequest, build_project
from tests.host.test_bench_project import small_cnn

pytestmark = [pytest.mark.needs_oracle, pytest.mark.emulator]


@pytest.mark.parametrize("target", ["netduinoplus2", "mps2-an386"])
def test_an_emulated_board_counts_instructions(target: str, tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_cnn())
    build_project(BuildRequest(model, target), tmp_path / "project")
    report = bench(BenchRequest(tmp_path / "project", samples=20))
    assert report.parity is not None and report.parity.mismatched_bytes == 0
    assert report.target.kind == "emulated" and report.device.latency_us is None
    assert report.device.instructions is not None and report.device.instructions.median > 1000
    measured = [layer.instructions for layer in report.layers]
    assert all(m is not None for m in measured)
    total = sum(m or 0 for m in measured)
    assert total == pytest.approx(report.device.instructions.median, rel=0.05)
    assert report.sizes is not None and report.sizes.ram_bytes.stack_peak
    assert report.host is not None


@pytest.mark.needs_data
@pytest.mark.parametrize(("name", "samples"), [("kws", 8), ("ad", 4), ("sww", 4)])
def test_mlperf_tiny_models_are_bit_exact(
    real_data: Path, tmp_path: Path, name: str, samples: int
) -> None:
    model = real_data / "mlperf_tiny" / f"{name}_int8.tflite"
    build_project(BuildRequest(model, "netduinoplus2"), tmp_path / "project")
    report = bench(BenchRequest(tmp_path / "project", samples=samples))
    assert report.parity is not None and report.parity.mismatched_bytes == 0
