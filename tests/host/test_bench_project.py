"""`bench` on a project built for this computer: generated C against TFLM, over a real socket."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.bench import project as bench_module
from edgepack.bench.project import BenchRequest, bench
from edgepack.errors import (
    DataError,
    DeviceLostError,
    ParityError,
    PortError,
    ProjectError,
    WrongImageError,
)
from edgepack.flash import RunningBoard, launch
from edgepack.manifest import Manifest, read_manifest, write_manifest
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.report.schema import read_run
from edgepack.targets import Target
from tests.tflite_builder import ModelBuilder, spec

pytestmark = pytest.mark.needs_oracle


def small_cnn() -> bytes:
    """A convolution, a dense layer and a softmax over 4 classes."""
    rng = np.random.default_rng(5)
    m = ModelBuilder()
    x = m.input("image", (1, 6, 6, 2), "INT8", 0.05, -3)
    scales = np.array([0.01, 0.02, 0.005])
    w = m.const(rng.integers(-127, 128, (3, 3, 3, 2)), "INT8", scales)
    b = m.const(rng.integers(-500, 500, 3), "INT32", scales * 0.05)
    window = {"padding": "SAME", "stride_h": 2, "stride_w": 2}
    relu = {"fused_activation_function": "RELU"}
    (y,) = m.op("CONV_2D", [x, w, b], [spec((1, 3, 3, 3), "INT8", 0.1, -128)], window | relu)
    flat = [spec((1, 27), "INT8", 0.1, -128)]
    (y,) = m.op("RESHAPE", [y, m.const([1, 27], "INT32")], flat, {"new_shape": [1, 27]})
    w = m.const(rng.integers(-127, 128, (4, 27)), "INT8", 0.02)
    b = m.const(rng.integers(-500, 500, 4), "INT32", 0.002)
    (y,) = m.op("FULLY_CONNECTED", [y, w, b], [spec((1, 4), "INT8", 0.2, 1)])
    m.output(*m.op("SOFTMAX", [y], [spec((1, 4), "INT8", 1 / 256, -128)], {"beta": 1.0}))
    return m.build()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("host")
    model = folder / "small.tflite"
    model.write_bytes(small_cnn())
    build_project(BuildRequest(model, "host"), folder / "project")
    return folder / "project"


def test_the_generated_c_equals_tflm(built: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    np.savez(
        tmp_path / "d.npz",
        allow_pickle=False,
        image=rng.normal(0, 2, (200, 6, 6, 2)),  # floats: quantized on the way
        y=rng.integers(0, 4, 200),
    )
    request = BenchRequest(
        built, tmp_path / "d.npz", json_path=tmp_path / "run.json", save_outputs=tmp_path / "Y.npz"
    )
    report = bench(request)
    assert report == read_run(tmp_path / "run.json")
    assert report.parity is not None and report.parity.bytes == 800
    assert report.parity.mismatched_bytes == 0
    assert report.target.kind == "host" and report.device.instructions is None
    assert report.device.latency_us is not None and report.device.latency_us.n == 200
    assert report.accuracy is not None and report.accuracy.device == report.accuracy.oracle
    assert len(report.layers) == 4 and all(x.latency_us is not None for x in report.layers)
    assert report.sizes is not None and report.sizes.ram_bytes.stack_peak
    with np.load(tmp_path / "Y.npz") as saved:
        assert saved["output_0"].shape == (200, 1, 4) and saved["output_0"].dtype == np.int8


def test_a_board_that_dies_is_named_and_the_run_resumes(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards: list[RunningBoard] = []

    @contextmanager
    def watched(
        project: Path, manifest: Manifest, target: Target, *rest: Any, **named: Any
    ) -> Iterator[RunningBoard]:
        with launch(project, manifest, target, *rest, **named) as board:
            boards.append(board)
            yield board

    monkeypatch.setattr(bench_module, "launch", watched)

    def kill(stage: str, fraction: float | None, message: str) -> None:
        if stage == "device" and message.startswith("40 of"):
            os.kill(boards[0].pid, signal.SIGKILL)

    request = BenchRequest(built, samples=100, json_path=tmp_path / "run.json")
    with pytest.raises(DeviceLostError):
        bench(request, kill)
    partial = read_run(tmp_path / "run.json")
    assert partial.status == "partial" and partial.samples.missing == ((40, 100),)
    assert partial.parity is not None and partial.parity.mismatched_bytes == 0

    seen: list[str] = []
    again = BenchRequest(built, samples=100, json_path=tmp_path / "run.json", resume=True)

    def note(stage: str, fraction: float | None, message: str) -> None:
        seen.append(message)

    report = bench(again, note)
    assert seen[0] == "41 of 100 samples"
    assert report.status == "complete" and report.parity is not None
    assert report.parity.samples == 100 and report.parity.mismatched_bytes == 0
    assert all(not board.is_alive() for board in boards)


def test_another_image_is_refused(built: Path, tmp_path: Path) -> None:
    project = _copy(built, tmp_path)
    manifest = read_manifest(project)
    write_manifest(project, manifest.model_copy(update={"build_id": "0" * 16}))
    with pytest.raises(WrongImageError, match="runs another image"):
        bench(BenchRequest(project, samples=3))
    assert not (project / "run.json").exists()


def test_a_model_that_is_not_the_image_fails_parity(built: Path, tmp_path: Path) -> None:
    project = _copy(built, tmp_path)
    data = bytearray((project / "model.tflite").read_bytes())
    weights = np.random.default_rng(5).integers(-127, 128, (3, 3, 3, 2)).astype(np.int8).tobytes()
    at = data.index(weights)
    data[at : at + len(weights)] = weights[::-1]
    (project / "model.tflite").write_bytes(data)
    with pytest.raises(ParityError, match="output bytes differ from tflite-micro"):
        bench(BenchRequest(project, samples=20))
    report = read_run(project / "run.json")
    assert report.parity is not None and report.parity.mismatched_bytes > 0


def test_what_is_missing_or_wrong_is_named(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is not an edgepack project"):
        bench(BenchRequest(tmp_path))
    with pytest.raises(DataError, match="does not exist"):
        bench(BenchRequest(built, tmp_path / "none.npz"))
    for port in ("/dev/ttyNoSuchPort", "socket://127.0.0.1:1"):
        with pytest.raises(PortError):
            bench(BenchRequest(built, samples=3, port=port))
    project = _copy(built, tmp_path)
    (project / "model.tflite").unlink()
    with pytest.raises(ProjectError, match=r"cannot read .*model\.tflite"):
        bench(BenchRequest(project))


def _copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))
