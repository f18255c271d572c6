"""`bench --bisect` names the layer whose kernel was broken on purpose, and nothing otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgepack import cli
from edgepack.bench.bisect import HOST_BUILD, find_first_difference, open_reference
from edgepack.bench.data import random_samples
from edgepack.bench.project import BenchRequest, connect_project
from edgepack.bench.session import Session
from edgepack.errors import MissingToolError, ParityError, UnsupportedError
from edgepack.manifest import read_manifest, write_manifest
from edgepack.pipeline import bisect as bisect_module
from edgepack.pipeline.bisect import bisect_project
from edgepack.pipeline.build import BuildRequest, build_project
from edgepack.targets import load_target
from tests.host.broken_kernel import break_kernel
from tests.host.test_bench_project import small_cnn
from tests.oracles import tflm_all_tensors
from tests.tflite_builder import ModelBuilder, spec

pytestmark = pytest.mark.needs_oracle


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bisect")
    model = folder / "small.tflite"
    model.write_bytes(small_cnn())
    build_project(BuildRequest(model, "host"), folder / "project")
    return folder / "project"


@pytest.fixture(scope="module")
def broken(built: Path) -> dict[str, Path]:
    """By header, copies whose kernels add one to each output."""
    headers = ("ep_conv2d.h", "ep_fully_connected.h")
    return {h: break_kernel(built, built.with_name(h.removesuffix(".h")), h) for h in headers}


def test_a_right_project_has_no_difference(built: Path) -> None:
    findings = bisect_project(BenchRequest(built, samples=3)).findings
    assert findings.first is None and findings.uncompared == ()
    assert findings.samples == 3 and findings.layers == 4
    assert sum(findings.compared.values()) == 12
    assert all(name.startswith("tflite-micro ") for name in findings.compared)


@pytest.mark.parametrize(
    ("header", "layer", "op", "kernel"),
    [
        ("ep_conv2d.h", 0, "CONV_2D", "ep_conv2d_s8"),
        ("ep_fully_connected.h", 2, "FULLY_CONNECTED", "ep_fully_connected_s8"),
    ],
)
def test_a_broken_kernel_is_named(
    broken: dict[str, Path], header: str, layer: int, op: str, kernel: str
) -> None:
    project = broken[header]
    result = bisect_project(BenchRequest(project, samples=5))
    first = result.findings.first
    assert first is not None
    assert (first.sample, first.layer, first.op, first.kernel) == (0, layer, op, kernel)
    # what it says of the element is what TFLM computes, and one more
    manifest = read_manifest(project)
    samples = random_samples(manifest.model.inputs, 5)
    tensors = tflm_all_tensors((project / "model.tflite").read_bytes(), [samples.inputs[0][0]])
    same = [t for t in tensors.values() if t.size == first.elements]
    assert first.expected in [t.flat[first.index] for t in same]
    assert first.actual == first.expected + 1
    assert 0 < first.differing <= first.elements and first.repeated
    assert np.ravel_multi_index(first.position, first.tensor.shape) == first.index
    assert result.function and result.function.startswith("ep_small")


def test_the_command_says_it_and_exits_with_16(
    built: Path, broken: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    project = broken["ep_fully_connected.h"]
    assert cli.run(["bench", str(built), "--bisect", "--samples", "2"]) == 0
    assert "every tensor is right" in capsys.readouterr().out
    assert cli.run(["bench", str(project), "--bisect"]) == ParityError.exit_code
    said = capsys.readouterr().out
    assert "layer 2 of 4, FULLY_CONNECTED" in said and "ep_fully_connected_s8" in said
    assert cli.run(["bench", str(project), "--bisect", "--json"]) == ParityError.exit_code
    document = json.loads(capsys.readouterr().out)
    assert document["first"]["layer"] == 2 and document["first"]["tensor"]["dtype"] == "INT8"


def test_tensors_that_the_oracle_has_not_come_from_a_build_for_this_computer(
    built: Path, broken: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where TFLM is not installed, or a rewrite gave a tensor another shape."""
    monkeypatch.setattr("edgepack.bench.bisect.tflm_installed", lambda: False)
    project = broken["ep_fully_connected.h"]
    first = bisect_project(BenchRequest(project, samples=2)).findings.first
    assert first is not None and (first.layer, first.against) == (2, HOST_BUILD)
    findings = bisect_project(BenchRequest(built, samples=2)).findings
    assert findings.first is None and set(findings.compared) == {HOST_BUILD}


def test_without_any_reference_it_says_so(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edgepack.bench.bisect.tflm_installed", lambda: False)
    monkeypatch.setattr(bisect_module, "_host_build", lambda *_: None)
    code = cli.run(["bench", str(built), "--bisect", "--samples", "1"])
    assert code == MissingToolError.exit_code
    said = capsys.readouterr()
    assert "is right" not in said.out and "nothing to compare" in said.err


def test_a_model_that_keeps_state_is_led_up_to_the_sample(tmp_path: Path) -> None:
    m = ModelBuilder()
    x = m.input("x", (1, 8), "INT8", 0.1, 0)
    handle = m.resource("sum")
    (before,) = m.op("READ_VARIABLE", [handle], [spec((1, 8), "INT8", 0.1, 0)])
    (y,) = m.op("ADD", [x, before], [spec((1, 8), "INT8", 0.1, 0)])
    m.op("ASSIGN_VARIABLE", [handle, y], [])
    m.output(y)
    model = tmp_path / "sum.tflite"
    model.write_bytes(m.build())
    manifest = build_project(BuildRequest(model, "host"), tmp_path / "p")
    assert manifest.model.stateful
    samples = random_samples(manifest.model.inputs, 4)
    with (
        open_reference(manifest, model.read_bytes(), samples, None) as reference,
        connect_project(tmp_path / "p", manifest, load_target("host"))() as device,
    ):
        assert isinstance(device, Session)
        assert find_first_difference(device, manifest, samples, reference).first is None
    # spoil what is expected of the third sample: the device's bytes of that sample are shown
    with (
        open_reference(manifest, model.read_bytes(), samples, None) as reference,
        connect_project(tmp_path / "p", manifest, load_target("host"))() as device,
    ):
        assert isinstance(device, Session)
        right = reference.tensors

        def spoilt(sample: int) -> dict[tuple[int, int], tuple[np.ndarray, str]]:
            found = right(sample)
            if sample == 2:
                key = max(found)
                found[key] = (found[key][0] ^ np.int8(1), found[key][1])
            return found

        reference.tensors = spoilt  # type: ignore[method-assign]
        first = find_first_difference(device, manifest, samples, reference).first
    assert first is not None and first.sample == 2 and first.repeated
    assert int(first.actual) ^ 1 == int(first.expected)


def test_a_runtime_without_layers_is_refused(built: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(built, tmp_path / "copy"))
    manifest = read_manifest(project)
    write_manifest(project, manifest.model_copy(update={"runtime": "tflm"}))
    with pytest.raises(UnsupportedError, match="cannot report layers"):
        bisect_project(BenchRequest(project))
