"""Whole runs on loopback phones, from the command line: real models, every output byte compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgepack.bench.project import bench
from edgepack.pipeline.phone import build_phone
from edgepack.report.schema import RunReport, read_run
from edgepack.toolchain.phone import ABIS, phone_abi
from tests.phone.device import Phone
from tests.phone.lab import REAL, Command, Lab, request_for
from tests.phone.stand_in import write_stand_in
from tests.small_models import small_cnn

pytestmark = pytest.mark.needs_oracle


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_cnn())
    return path


def report_of(tmp_path: Path, name: str = "run.json") -> RunReport:
    (path,) = (tmp_path / "work").glob(f"*/{name}")
    return read_run(path)


@pytest.mark.slow
@pytest.mark.needs_data
@pytest.mark.parametrize(("model", "data", "accuracy"), [
    ("kws_int8", "kws01/kws01_int8.npz", 0.85),
    ("ic_int8", None, None),
])  # fmt: skip
def test_mlperf_tiny_models_with_every_output_compared(
    command: Command,
    lab: Lab,
    tmp_path: Path,
    real_data: Path,
    model: str,
    data: str | None,
    accuracy: float | None,
) -> None:
    phone = lab.phone(props=REAL)
    named = ("--data", real_data / data) if data else ()
    path = real_data / "mlperf_tiny" / f"{model}.tflite"
    command(path, "--phone", phone.address, "--samples", 100, *named)
    report = report_of(tmp_path)
    assert report.samples.done == 100 and report.parity is not None
    assert report.parity.samples == 100 and report.parity.mismatched_bytes == 0
    assert report.phone is not None and report.phone.variant == "dotprod"
    assert report.device.latency_us is not None and report.device.latency_us.n >= 3
    assert all(layer.latency_us is not None for layer in report.layers)
    if accuracy is not None:
        assert report.accuracy is not None and (report.accuracy.device or 0) > accuracy
    assert phone.left() == []


def test_an_emulated_phone_has_no_times(
    command: Command, lab: Lab, small: Path, tmp_path: Path
) -> None:
    phone = lab.phone()
    text = command(small, "--phone", phone.address)
    report = report_of(tmp_path)
    assert report.target.kind == "emulated" and report.device.latency_us is None
    assert report.phone is not None and report.phone.latency_us is None
    assert "an emulated phone: nothing here is a latency" in text
    assert report.parity is not None and report.parity.mismatched_bytes == 0


def test_the_state_of_the_phone_stands_beside_the_figures(
    command: Command, lab: Lab, small: Path, tmp_path: Path
) -> None:
    phone = lab.phone(props=REAL)
    phone.say("thermalservice", "Thermal Status: 2\n")
    phone.say("battery", "  level: 12\n  temperature: 415\n  AC powered: false\n")
    text = command(small, "--phone", phone.address)
    p = report_of(tmp_path).phone
    assert p is not None and p.governor == "schedutil" and p.soc == "LB1"
    assert (p.after.thermal_status, p.after.battery_percent) == (2, 12)
    assert (p.after.cpu_celsius, p.after.battery_celsius, p.after.charging) == (41.0, 41.5, False)
    for words in ("throttled (thermal status moderate)", "battery is at 12 %", "42 degrees"):
        assert any(words in warning for warning in p.warnings), (words, p.warnings)
        assert words in text


@pytest.mark.slow
def test_several_phones_at_once(command: Command, lab: Lab, small: Path, tmp_path: Path) -> None:
    phones = [lab.phone(serial=f"P{i}") for i in range(2)]
    for phone in phones:
        lab.connected(phone)
    command(small, "--phone", "all")
    document = json.loads((tmp_path / "work/runs.json").read_text())
    assert {run["phone"] for run in document["runs"]} == {p.address for p in phones}
    assert all(run["run"]["parity"]["mismatched_bytes"] == 0 for run in document["runs"])
    assert [p.left() for p in phones] == [[], []]


@pytest.mark.parametrize("abi", [abi.name for abi in ABIS])
def test_every_abi_computes_the_same(lab: Lab, tmp_path: Path, small: Path, abi: str) -> None:
    if shutil.which(phone_abi(abi).gcc) is None or shutil.which("qemu-arm-static") is None:
        pytest.skip(f"{phone_abi(abi).gcc} is not installed: make setup")
    phone = lab.phone(props={"ro.product.cpu.abilist": abi})
    project = tmp_path / "project"
    project.mkdir()
    build_phone(small, project, phone_abi(abi), "small")
    report = bench(request_for(project, lab.connected(phone), phone, tmp_path))
    assert report.parity is not None and report.parity.mismatched_bytes == 0


def tflite(lab: Lab, tmp_path: Path, **options: bool) -> tuple[Phone, Path]:
    return lab.phone(props=REAL), write_stand_in(tmp_path / "benchmark_model", **options)


def test_benchmark_model_with_outputs_profile_and_medians(
    command: Command, lab: Lab, small: Path, tmp_path: Path
) -> None:
    phone, binary = tflite(lab, tmp_path)
    command(small, "--phone", phone.address, "--benchmark-binary", binary, "--samples", 3)
    report = report_of(tmp_path)
    assert report.runtime == "tflite" and report.samples.done == 3
    # LiteRT on both sides of the wire: the bytes that went through the phone are the same
    assert report.parity is not None and report.parity.mismatched_bytes == 0
    assert "LiteRT" in report.parity.oracle
    p = report.phone
    assert p is not None and p.program == "benchmark_model" and p.latency_us is not None
    assert [(op.op, op.average_us) for op in p.ops] == [("TfLiteXNNPackDelegate", 250.0)]
    assert p.peak_memory_kb == 2560 and phone.left() == []


def test_an_early_benchmark_model_gives_times_and_says_what_it_lacks(
    command: Command, lab: Lab, small: Path, tmp_path: Path
) -> None:
    phone, binary = tflite(lab, tmp_path, new=False)
    command(small, "--phone", phone.address, "--benchmark-binary", binary)
    report = report_of(tmp_path)
    assert report.samples.done == 0 and report.parity is None and report.status == "partial"
    assert report.phone is not None and report.phone.average_us is not None
    assert report.device.latency_us is None  # no median, none made up
    assert any("writes no outputs" in w for w in report.phone.warnings)
    assert any("inputs are random" in w for w in report.phone.warnings)
    assert phone.left() == []


@pytest.mark.slow
def test_an_accelerator_that_was_not_applied_is_no_gpu_figure(
    command: Command, lab: Lab, small: Path, tmp_path: Path
) -> None:
    phone, binary = tflite(lab, tmp_path, gpu=False)
    words = ("--benchmark-binary", binary, "--accelerator", "gpu", "--samples", 1)
    command(small, "--phone", phone.address, *words)
    p = report_of(tmp_path).phone
    assert p is not None and any("GPU was asked for and not applied" in w for w in p.warnings)
    words = ("--benchmark-binary", binary, "--accelerator", "nnapi", "--samples", 1)
    assert "has no --use_nnapi" in command(small, "--phone", phone.address, *words, expect=5)
    assert phone.left() == []


@pytest.mark.slow
def test_a_benchmark_model_that_is_on_the_phone(
    command: Command, lab: Lab, small: Path, tmp_path: Path
) -> None:
    phone = lab.phone(props=REAL)
    write_stand_in(phone.tmp / "benchmark_model")
    words = ("--benchmark-binary", "found", "--samples", 1)
    command(small, "--phone", phone.address, *words)
    assert report_of(tmp_path).samples.done == 1
    assert phone.left() == ["benchmark_model"]  # the user's own stays


def test_what_is_no_benchmark_model_is_refused(
    command: Command, lab: Lab, small: Path, tmp_path: Path
) -> None:
    phone = lab.phone()
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)
    words = ("--benchmark-binary", other)
    assert "lists no --graph" in command(small, "--phone", phone.address, *words, expect=5)
    assert phone.left() == []


def test_options_that_do_not_go_together(command: Command, small: Path) -> None:
    assert "do not go together" in command(small, "--phone", "x", "--cycles", expect=2)
