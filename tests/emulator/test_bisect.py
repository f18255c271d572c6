"""`bench --bisect` on an emulated board: the kernel that was broken on purpose is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepack.bench.project import BenchRequest
from edgepack.pipeline.bisect import bisect_project
from edgepack.pipeline.build import BuildRequest, build_project
from tests.host.broken_kernel import break_kernel
from tests.host.test_bench_project import small_cnn

pytestmark = [pytest.mark.needs_oracle, pytest.mark.emulator]


def test_a_broken_kernel_is_named_on_a_board(tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(small_cnn())
    manifest = build_project(BuildRequest(model, "netduinoplus2"), tmp_path / "right")
    assert bisect_project(BenchRequest(tmp_path / "right", samples=3)).findings.first is None
    kernel = manifest.model.layers[0].kernel  # the DSP variant, which only the board runs
    assert kernel.endswith("_dsp")
    project = break_kernel(tmp_path / "right", tmp_path / "broken", f"{kernel}.h")
    first = bisect_project(BenchRequest(project, samples=3)).findings.first
    assert first is not None
    assert (first.layer, first.op, first.kernel) == (0, "CONV_2D", kernel)
    assert first.actual == first.expected + 1


@pytest.mark.needs_data
@pytest.mark.slow
def test_a_layer_in_the_middle_of_a_network_whose_shapes_a_rewrite_changed(
    real_data: Path, tmp_path: Path
) -> None:
    """VWW loses constant channels: TFLM has no tensor of those shapes, a host build has."""
    model = real_data / "mlperf_tiny" / "vww_int8.tflite"
    manifest = build_project(BuildRequest(model, "mps2-an386"), tmp_path / "right")
    findings = bisect_project(BenchRequest(tmp_path / "right", samples=1)).findings
    assert findings.first is None and findings.uncompared == ()
    assert len(findings.compared) == 2
    depthwise = next(x for x in manifest.model.layers if x.op == "DEPTHWISE_CONV_2D")
    project = break_kernel(tmp_path / "right", tmp_path / "broken", f"{depthwise.kernel}.h")
    first = bisect_project(BenchRequest(project, samples=1)).findings.first
    assert first is not None and (first.layer, first.kernel) == (depthwise.index, depthwise.kernel)
