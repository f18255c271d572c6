"""Several boards at once: one failing board stops no other, and the exit code tells."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepack import cli
from edgepack.bench.host_reference import run_host
from edgepack.bench.project import BenchRequest
from edgepack.bench.several import (
    RUNS_NAME,
    bench_several,
    exit_code,
    pair_up,
    report_paths,
    runs_document,
)
from edgepack.errors import DeviceLostError, ParityError, PortError, ProjectError, UsageError
from edgepack.link.fake import FakeDevice, FakeModel, Mishap
from edgepack.link.fake_server import FakeServer
from edgepack.manifest import read_manifest, write_manifest
from edgepack.report.files import read_runs
from edgepack.report.html import render_pages
from edgepack.report.schema import read_run
from tests.unit.test_run import _model, make_project

pytestmark = pytest.mark.needs_oracle


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """x + x of int8, whose target is the host; nothing is compiled: fakes play the boards."""
    folder = make_project(tmp_path / "adder", _model())
    (folder / "image").touch()
    manifest = read_manifest(folder).model_copy(update={"target": "mps2-an386", "image": "image"})
    write_manifest(folder, manifest)
    return folder


@contextlib.contextmanager
def board(
    *, wrong: bool = False, mishap: Mishap | None = None, seconds: float = 0.0
) -> Iterator[FakeServer]:
    """A fake that adds as the model does, or one more."""

    def compute(data: bytes) -> list[list[bytes]]:
        time.sleep(seconds)
        values = np.clip(np.frombuffer(data, np.int8).astype(int) * 2 + wrong, -128, 127)
        return [[values.astype(np.int8).tobytes()]]

    model = FakeModel((8,), (8,), compute, "adder", "00112233aabbccdd")
    with FakeServer(FakeDevice(model, mishap or Mishap())) as server:
        yield server


def _request(project: Path, port: str, name: str) -> BenchRequest:
    return BenchRequest(
        project,
        samples=6,
        port=port,
        json_path=project / name,
        host=False,
        reconnect_seconds=0.0,
        inference_seconds=1.0,
    )


def test_ports_and_projects_are_paired() -> None:
    a, b = Path("a"), Path("b")
    assert pair_up([a], []) == [(a, None)]
    assert pair_up([a], ["p", "q"]) == [(a, "p"), (a, "q")]
    assert pair_up([a, b], ["p", "q"]) == [(a, "p"), (b, "q")]
    assert pair_up([a, b], []) == [(a, None), (b, None)]
    with pytest.raises(UsageError, match="2 projects and 1 ports"):
        pair_up([a, b], ["p"])
    with pytest.raises(UsageError, match="named twice"):
        pair_up([a], ["p", "p"])


def test_no_report_overwrites_another() -> None:
    a, b = Path("a"), Path("b")
    assert report_paths([(a, None), (b, "p")]) == [a / "run.json", b / "run.json"]
    same = report_paths([(a, "/dev/ttyACM0"), (a, "/dev/ttyACM1"), (b, None)])
    assert same == [a / "run-dev-ttyACM0.json", a / "run-dev-ttyACM1.json", b / "run.json"]
    close = report_paths([(a, "x-1"), (a, "x.1")])
    assert len(set(close)) == 2
    assert len(set(report_paths([(a, None), (a / "." / "..", None), (Path("./a"), None)]))) == 3


def test_boards_run_at_the_same_time_and_one_that_fails_stops_no_other(project: Path) -> None:
    with (
        board(seconds=0.15) as good,
        board(seconds=0.15) as also_good,
        board(wrong=True) as wrong,
        board(mishap=Mishap(vanish_before=2)) as lost,
    ):
        urls = [good.url, also_good.url, wrong.url, lost.url, "/dev/ttyNoSuchPort"]
        requests = [_request(project, url, f"run-{i}.json") for i, url in enumerate(urls)]
        started = time.monotonic()
        runs = bench_several(requests)
        seconds = time.monotonic() - started
    kinds = [type(run.error) for run in runs]
    assert kinds == [type(None), type(None), ParityError, DeviceLostError, PortError]
    assert [run.report.samples.done if run.report else None for run in runs] == [6, 6, 6, 2, None]
    assert exit_code(runs) == ParityError.exit_code
    assert exit_code(runs[:2]) == 0 and exit_code(runs[3:]) == DeviceLostError.exit_code
    assert runs[3].report is not None and runs[3].report.samples.missing == ((2, 6),)
    assert seconds < 15.0  # every wait is bounded
    document = runs_document(runs)
    assert [item["port"] for item in document["runs"]] == urls
    assert document["runs"][4]["run"] is None
    assert document["runs"][4]["error"]["error"] == "port_error"
    for i in range(4):
        assert read_run(project / f"run-{i}.json") == runs[i].report


def test_boards_overlap(project: Path) -> None:
    """Both are inside an inference at once."""
    inside, most, lock = 0, 0, threading.Lock()

    def compute(data: bytes) -> list[list[bytes]]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.1)
        with lock:
            inside -= 1
        values = np.clip(np.frombuffer(data, np.int8).astype(int) * 2, -128, 127)
        return [[values.astype(np.int8).tobytes()]]

    model = FakeModel((8,), (8,), compute, "adder", "00112233aabbccdd")
    with FakeServer(FakeDevice(model)) as one, FakeServer(FakeDevice(model)) as two:
        requests = [_request(project, one.url, "a.json"), _request(project, two.url, "b.json")]
        runs = bench_several(requests)
    assert exit_code(runs) == 0 and most == 2


def test_the_host_is_measured_when_no_device_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = overlaps = measured = 0
    lock = threading.Lock()
    real = run_host

    def watched(*args: object, **options: object) -> object:
        nonlocal busy, overlaps, measured
        with lock:
            overlaps += (slow.device.inferences < 7) + (busy > 0)
            busy += 1
        try:
            measured += 1
            return real(*args, **options)  # type: ignore[arg-type]
        finally:
            with lock:
                busy -= 1

    monkeypatch.setattr("edgepack.bench.run.run_host", watched)
    with board() as fast, board(seconds=0.2) as slow:
        requests = [_request(project, fast.url, "a.json"), _request(project, slow.url, "b.json")]
        runs = bench_several([replace(r, host=True) for r in requests])
    assert exit_code(runs) == 0 and measured == 2 and overlaps == 0


def test_an_interrupt_stops_every_board_and_keeps_what_was_done(project: Path) -> None:
    reached = threading.Event()

    def interrupt(stage: str, fraction: float | None, message: str) -> None:
        if stage.endswith(f"{hung.url}: device") and message.startswith("1 of 6"):
            reached.set()
        if stage.endswith(f"{one.url}: device") and message.startswith("3 of 6"):
            assert reached.wait(20.0)
            raise KeyboardInterrupt

    with board() as one, board(mishap=Mishap(hang_in=1)) as hung:
        requests = [
            replace(_request(project, one.url, "a.json"), inference_seconds=60.0),
            replace(_request(project, hung.url, "b.json"), inference_seconds=60.0),
        ]
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            bench_several(requests, interrupt)
        assert time.monotonic() - started < 10.0
    reports = [read_run(project / name) for name in ("a.json", "b.json")]
    assert [r.samples.done for r in reports] == [3, 1]
    assert all(r.failure is not None and r.failure.message == "interrupted" for r in reports)


def test_a_missing_project_is_named_before_anything_runs(project: Path, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is not an edgepack project"):
        bench_several([_request(project, "socket://x:1", "a.json"), BenchRequest(tmp_path)])


def test_the_command_makes_one_table_one_json_each_and_one_for_all(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with board() as one, board() as two:
        argv = ["bench", str(project), "--samples", "4", "--no-host"]
        ports = ["--port", one.url, "--port", two.url]
        assert cli.run([*argv, *ports]) == 0
    said = capsys.readouterr()
    assert said.out.count("yes, 32 of 32") == 2 and one.url in said.out
    document = json.loads((project / RUNS_NAME).read_text())
    assert document["exit_code"] == 0 and len(document["runs"]) == 2
    assert len(list(project.glob("run-socket*.json"))) == 2
    runs = read_runs(project / RUNS_NAME)
    page = render_pages(runs)
    assert "<h1>2 runs</h1>" in page and page.count("<h2>Speed</h2>") == 2
    with board(wrong=True) as one, board() as two:
        ports = ["--port", one.url, "--port", two.url]
        assert cli.run([*argv, *ports, "--json"]) == ParityError.exit_code
    document = json.loads(capsys.readouterr().out)
    assert [item["error"] is None for item in document["runs"]] == [False, True]


def test_a_configuration_lists_the_boards(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build").mkdir()
    project.rename(tmp_path / "build" / "mps2-an386")
    config = tmp_path / "edgepack.toml"
    with board() as one, board() as two:
        config.write_text(
            '[model]\nsource = "adder.tflite"\n[build]\ntargets = ["mps2-an386"]\n'
            "[bench]\nsamples = 3\n"
            f'[[devices]]\ntarget = "mps2-an386"\nport = "{one.url}"\n'
            f'[[devices]]\ntarget = "mps2-an386"\nport = "{two.url}"\n'
        )
        assert cli.run(["bench", str(config), "--no-host"]) == 0
        assert cli.run(["bench", str(config), "--port", one.url]) == UsageError.exit_code
    assert capsys.readouterr().out.count("3 of 3") == 2
    text = config.read_text().replace('target = "mps2-an386"\nport', 'target = "x"\nport', 1)
    config.write_text(text)
    assert cli.run(["bench", str(config)]) == 3
    assert "target x is not in [build] targets" in capsys.readouterr().err
