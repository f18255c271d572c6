"""`bench` on emulated boards: the same bytes as TFLM, instructions and no latency."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import FitError
from edgepack.pipeline.build import BuildRequest, build_project
from tests.host.test_bench_project import small_cnn
from tests.tflite_builder import ModelBuilder, spec

pytestmark = [pytest.mark.needs_oracle, pytest.mark.emulator]


@pytest.mark.parametrize(
    "target",
    [
        *("netduinoplus2", "mps2-an386"),
        *("netduino2", "stm32vldiscovery", "lm3s6965evb", "sifive_e"),
    ],
)
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


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("stm32vldiscovery", r"sram: needs [\d,]+ bytes of 8,192, [\d,]+ too many"),
        ("sifive_e", r"dtim: needs [\d,]+ bytes of 16,384, [\d,]+ too many"),
        ("lm3s6965evb", r"sram: needs [\d,]+ bytes of 65,536, [\d,]+ too many"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(target: str, said: str, tmp_path: Path) -> None:
    builder = ModelBuilder()
    image = builder.input("image", (1, 192, 192, 1), "INT8", scale=0.1, zero_point=0)
    (doubled,) = builder.op("ADD", [image, image], [spec((1, 192, 192, 1), "INT8", 0.2, 0)])
    builder.output(doubled)
    model = tmp_path / "large.tflite"
    model.write_bytes(builder.build())
    with pytest.raises(FitError, match=said) as caught:
        build_project(BuildRequest(model, target), tmp_path / "project")
    assert "netduino2" in (caught.value.allowed or "")
    assert not (tmp_path / "project").exists()


@pytest.mark.needs_data
@pytest.mark.parametrize(("name", "samples"), [("kws", 8), ("ad", 4), ("sww", 4)])
def test_mlperf_tiny_models_are_bit_exact(
    real_data: Path, tmp_path: Path, name: str, samples: int
) -> None:
    model = real_data / "mlperf_tiny" / f"{name}_int8.tflite"
    build_project(BuildRequest(model, "netduinoplus2"), tmp_path / "project")
    report = bench(BenchRequest(tmp_path / "project", samples=samples))
    assert report.parity is not None and report.parity.mismatched_bytes == 0
