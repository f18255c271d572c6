"""The public MLPerf Tiny runner, its Python files unmodified, drives emulated boards.

EDGEPACK_MLPERF_RUNNER names the folder benchmark/runner of a checkout of mlcommons/tiny; the
interpreter of these tests needs what that runner imports (docs/mlperf-runner.md).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgepack.link.serial_url import open_link
from edgepack.link.text import TextClient
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.pipeline.serve import serve
from tests.mlperf.benchmark_sets import MODELS, BenchmarkSet, load_set

pytestmark = [
    pytest.mark.slow,
    pytest.mark.emulator,
    pytest.mark.needs_oracle,
    pytest.mark.needs_data,
    pytest.mark.timeout(600),
]

TARGET = "netduinoplus2"
DEVICES = {"ad01": "devices_ad.yaml"}
OTHER_DEVICES = "devices_kws_ic_vww.yaml"
DUT = "0483:374b"  # how those files name the device under test
SAMPLES = {"kws01": 60, "ic01": 24, "vww01": 8, "ad01": 12}
PRINTED = 0.5e-6 + 1e-9  # results% prints six decimals
# ad01 adds 640 squares in float32
SCORE_TOLERANCE = 1e-5
# The runner refuses a performance run whose five windows take less than 10 s of the host's clock.
WINDOW_SECONDS = 4.0


@pytest.fixture(scope="module")
def runner() -> Path:
    """The folder of the runner."""
    named = os.environ.get("EDGEPACK_MLPERF_RUNNER")
    if not named:
        pytest.skip("the public runner is absent: set EDGEPACK_MLPERF_RUNNER")
    if not (Path(named) / "main.py").is_file():
        pytest.fail(f"EDGEPACK_MLPERF_RUNNER: there is no main.py in {named}")
    missing = [m for m in ("yaml", "sklearn", "matplotlib", "usb") if not _installed(m)]
    if missing:
        pytest.skip(f"the public runner needs Python packages that are absent: {missing}")
    if importlib.import_module("usb.backend.libusb1").get_backend() is None:
        pytest.skip("the public runner needs libusb: apt install libusb-1.0-0")
    return Path(named)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


@pytest.fixture(scope="module", params=sorted(MODELS))
def board(
    request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, BenchmarkSet]:
    """A project, and samples for it."""
    task = request.param
    project = tmp_path_factory.mktemp(task) / "project"
    model = real_data / "mlperf_tiny" / f"{MODELS[task]}_int8.tflite"
    build_project(BuildRequest(model, TARGET), project)
    return project, load_set(task, real_data, SAMPLES[task])


def run(
    runner: Path, project: Path, samples: BenchmarkSet, folder: Path, mode: str, script: Path
) -> tuple[list[dict[str, Any]], str]:
    """Run main.py beside the board; returns its results.json and its results.txt."""
    samples.write(folder / "datasets")
    main = [sys.executable, str(runner / "main.py"), "--dataset_path", str(folder / "datasets")]
    devices = runner / DEVICES.get(samples.task, OTHER_DEVICES)
    main += ["--device_list", str(devices), "--test_script", str(script), "--mode", mode]
    command = [sys.executable, "-m", "edgepack", "serve", str(project), "--usb-id", DUT, "--"]
    done = subprocess.run(
        [*command, *main],
        cwd=folder,
        env={**os.environ, "MPLCONFIGDIR": str(folder / "matplotlib")},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (session,) = (folder / "sessions").iterdir()
    results = json.loads((session / "results.json").read_text())
    return results, (session / "results.txt").read_text()


def test_accuracy_mode(
    runner: Path, board: tuple[Path, BenchmarkSet], tmp_path: Path, record_property: Any
) -> None:
    project, samples = board
    script = runner / "tests_accuracy.yaml"
    results, text = run(runner, project, samples, tmp_path, "a", script)
    assert len(results) == len(samples.samples)
    for result, sample in zip(results, samples.samples, strict=True):
        if samples.task == "ad01":
            assert result["infer"]["results"] == pytest.approx(sample.expected, rel=SCORE_TOLERANCE)
        else:
            assert result["infer"]["results"] == pytest.approx(sample.expected, abs=PRINTED)
    accuracy = figure(r"Top 1% = ([\d.]+)", text)
    auc = figure(r"AUC = ([\d.]+)", text)
    record_property("note", f"{samples.task}: the public runner says {accuracy} %, AUC {auc}")
    if samples.task == "ad01":
        assert auc == 1.0  # the classes are those of TFLite Micro's own scores
    else:
        answers = [s.expected.index(max(s.expected)) == s.label for s in samples.samples]
        assert accuracy == pytest.approx(100 * sum(answers) / len(answers), abs=0.051)


def test_performance_mode(
    runner: Path, board: tuple[Path, BenchmarkSet], tmp_path: Path, record_property: Any
) -> None:
    project, samples = board
    count, rate = measure(project, samples)
    script = tmp_path / "performance.yaml"
    script.write_text(
        f"{samples.task}:\n  name: performance\n  model: {samples.task}\n"
        f"  truth_file: y_labels.csv\n  script:\n    - loop 5:\n      - download\n"
        f"      - infer {count} 0\n"
    )
    results, text = run(runner, project, samples, tmp_path, "p", script)
    assert len(results) == 5 and "ERROR" not in text
    throughput = figure(r"Median throughput is +([\d.]+) inf", text)
    # instructions of virtual time, which repeat; a time stamp is whole microseconds
    assert throughput == pytest.approx(rate, rel=0.01)
    record_property("note", f"{samples.task}: {throughput} inferences a second of virtual time")


def measure(project: Path, samples: BenchmarkSet) -> tuple[int, float]:
    """Inferences that take WINDOW_SECONDS here, and how many there are a second of the device."""
    count = 20
    with serve(project) as served:
        link = open_link(served.port)
        client = TextClient(link, 20.0)
        client.load(samples.samples[0].data)
        started = time.monotonic()
        result = client.infer(count, 0)
        seconds = time.monotonic() - started
        link.close()
    wanted = math.ceil(WINDOW_SECONDS / seconds * count)
    return max(wanted, count), count / (result.elapsed_us * 1e-6)


def figure(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    assert match is not None, text
    return float(match[1])
