"""A device whose port vanishes is found again, if it is the same one, and within a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgepack.bench.device_run import RunOptions
from edgepack.bench.reconnect import PortConnect, PortSettings
from edgepack.bench.run import bench_project
from edgepack.bench.session import Session
from edgepack.errors import DeviceLostError, DeviceSilentError, PortError
from edgepack.link.fake import Mishap
from edgepack.link.framed import LinkTiming
from edgepack.link.ports import identify_port, possible_ports
from edgepack.link.proxy import FaultProxy, Incident
from edgepack.report.schema import RunReport, Target, read_run
from edgepack.report.terminal import show_run
from tests.faults.boards import FakeBoard, Subject
from tests.faults.subjects import fake_subject, stateful_subject

TARGET = Target(id="board", cpu="c", clock_hz=None, kind="hardware", verified="none")
TIMING = LinkTiming(hello=1.0, reply=0.1, settle=0.02, inference=0.5, slowest=1e6)


def _port(device: str, serial: str | None = "A", usb: tuple[int, int] = (1, 2)) -> Any:
    return SimpleNamespace(device=device, vid=usb[0], pid=usb[1], serial_number=serial)


def test_a_device_is_recognised_by_its_serial_number() -> None:
    before = [_port("/dev/ttyACM0"), _port("/dev/ttyACM1", "B")]
    identity = identify_port("/dev/ttyACM0", lambda: before)
    assert identity.serial_number == "A" and identity.usb == (1, 2)
    # it comes back elsewhere, and the other board has taken its name
    after = [_port("/dev/ttyACM0", "B"), _port("/dev/ttyACM7", "A"), _port("/dev/ttyS0", None)]
    assert possible_ports(identity, lambda: after) == ["/dev/ttyACM7"]
    assert possible_ports(identity, list) == []


def test_without_a_serial_number_equal_products_are_candidates_its_own_name_first() -> None:
    identity = identify_port("/dev/ttyACM1", lambda: [_port("/dev/ttyACM1", None)])
    ports = [
        _port("/dev/ttyACM0", None),
        _port("/dev/ttyACM1", None),
        _port("/dev/x", None, (9, 9)),
    ]
    assert possible_ports(identity, lambda: ports) == ["/dev/ttyACM1", "/dev/ttyACM0"]


def test_a_link_to_a_port_is_followed(tmp_path: Path) -> None:
    (tmp_path / "ttyACM3").touch()
    link = tmp_path / "by-id"
    link.symlink_to(tmp_path / "ttyACM3")
    identity = identify_port(str(link), lambda: [_port(str(tmp_path / "ttyACM3"), "L")])
    assert identity.serial_number == "L"


def test_a_port_that_is_not_on_usb_can_only_be_where_it_was() -> None:
    identity = identify_port("socket://127.0.0.1:9", lambda: [_port("/dev/ttyACM0")])
    assert possible_ports(identity, lambda: [_port("/dev/ttyACM0")]) == ["socket://127.0.0.1:9"]


def _run(
    subject: Subject,
    out: Path,
    proxy: FaultProxy,
    ports: Callable[[], list[Any]],
    *,
    patience: float = 2.0,
    says: list[str] | None = None,
    resume: bool = False,
) -> RunReport:
    info = subject.project / "manifest.json"
    assert info.is_file()

    def check(session: Session) -> None:
        session.verify("0123456789abcdef", session.info.input_bytes, session.info.output_bytes)

    def say(stage: str, fraction: float | None, message: str) -> None:
        if says is not None:
            says.append(message)

    settings = PortSettings(proxy.url, timing=TIMING, stateful=subject.stateful, patience=patience)
    options = RunOptions(
        out / "run.json", resume=resume, host=False, oracle=False, reconnect=patience > 0
    )
    connect = PortConnect(settings, check, ports)
    return bench_project(subject.project, subject.samples, connect, TARGET, options, say)


def test_another_name_is_found_and_the_run_says_so(tmp_path: Path) -> None:
    subject, board = fake_subject(tmp_path), FakeBoard()
    says: list[str] = []
    incidents = (Incident(10_000, FaultProxy.move),)
    with FaultProxy(board.address, incidents=incidents) as proxy:
        first = proxy.url
        report = _run(subject, tmp_path, proxy, lambda: [_port(proxy.url)], says=says)
        assert proxy.url != first
    board.close()
    assert report.status == "complete" and report.failure is None
    (interruption,) = report.interruptions
    assert interruption.error == "device_lost_error" and 0 < interruption.samples_done < 5
    assert first in interruption.message
    assert any("looking for the device" in line for line in says)
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    show_run(report, Console(file=stream, width=200))
    assert "lost and found again after" in stream.getvalue()


def test_a_board_with_another_serial_number_is_left_alone(tmp_path: Path) -> None:
    """It runs the same image, but its port is not ours to take."""
    subject, board, other = fake_subject(tmp_path), FakeBoard(), FakeBoard()
    incidents = (Incident(10_000, FaultProxy.vanish),)
    with FaultProxy(board.address, incidents=incidents) as proxy, FaultProxy(other.address) as twin:
        home = proxy.url
        gone = [_port(home, "A")]

        def ports() -> list[Any]:
            return [*gone, _port(twin.url, "B")]

        started = time.monotonic()
        with pytest.raises(
            DeviceLostError, match=r"serial number A did not come back within 0\.5 s"
        ):
            _run(subject, tmp_path, proxy, ports, patience=0.5)
        assert time.monotonic() - started < 10.0
        assert twin.passed == 0
    board.close()
    other.close()
    report = read_run(tmp_path / "run.json")
    assert report.status == "partial" and report.samples.missing
    assert report.failure is not None and report.failure.exit_code == DeviceLostError.exit_code


def test_without_patience_the_first_loss_ends_the_run(tmp_path: Path) -> None:
    subject, board = fake_subject(tmp_path), FakeBoard()
    incidents = (Incident(10_000, FaultProxy.move),)
    with (
        FaultProxy(board.address, incidents=incidents) as proxy,
        pytest.raises(DeviceLostError, match="is gone"),
    ):
        _run(subject, tmp_path, proxy, lambda: [_port(proxy.url)], patience=0.0)
    board.close()


def test_a_model_that_keeps_state_starts_again_with_the_first_sample(tmp_path: Path) -> None:
    subject, board = stateful_subject(tmp_path), FakeBoard(stateful=True)
    says: list[str] = []
    incidents = (Incident(14_000, lambda proxy: board.restart()),)
    with FaultProxy(board.address, incidents=incidents) as proxy:
        report = _run(subject, tmp_path, proxy, lambda: [_port(proxy.url)], says=says)
    board.close()
    assert report.status == "complete" and len(report.interruptions) == 1
    assert report.interruptions[0].samples_done > 0
    assert any("all samples again" in line for line in says)
    done = [line for line in says if line.endswith("of 5 samples")]
    assert done.count("1 of 5 samples") == 2  # from the first on, twice


def test_a_device_that_always_restarts_is_given_up(tmp_path: Path) -> None:
    subject, board = fake_subject(tmp_path), FakeBoard()
    board.device.mishap = Mishap(restart_before=2)  # the third inference never happens
    with FaultProxy(board.address) as proxy, pytest.raises(DeviceLostError, match="restarted"):
        _run(subject, tmp_path, proxy, lambda: [_port(proxy.url)])
    board.close()
    report = read_run(tmp_path / "run.json")
    assert report.samples.done == 2 and len(report.interruptions) == 2


def test_figures_that_were_missed_are_made_up_for_by_resuming(tmp_path: Path) -> None:
    """All samples done, then lost: the memory peak of an idle device must not be reported."""
    subject, board = fake_subject(tmp_path), FakeBoard()
    board.device.mishap = Mishap(vanish_before=5)  # the sixth inference profiles the layers
    with FaultProxy(board.address) as proxy, pytest.raises(DeviceLostError):
        _run(subject, tmp_path, proxy, list, patience=0.0)
    board.close()
    partial = read_run(tmp_path / "run.json")
    assert partial.samples.done == 5 and partial.device.arena_peak_bytes is None
    again = FakeBoard()
    with FaultProxy(again.address) as proxy:
        report = _run(subject, tmp_path, proxy, list, resume=True)
    again.close()
    assert again.device.inferences == 2  # one sample again, and the layers
    assert report.failure is None and report.device.arena_peak_bytes == 64
    assert all(layer.instructions == 1000 for layer in report.layers)


def test_the_first_opening_does_not_wait(tmp_path: Path) -> None:
    started = time.monotonic()
    connect = PortConnect(PortSettings("/dev/ttyNone", patience=30.0), lambda session: None, list)
    with pytest.raises(PortError, match="could not be opened"), connect():
        pass
    assert time.monotonic() - started < 5.0


def test_silence_is_given_up_within_bounds(tmp_path: Path) -> None:
    subject, board = fake_subject(tmp_path), FakeBoard()
    incidents = (Incident(8_000, lambda proxy: setattr(proxy, "silent", True)),)
    started = time.monotonic()
    with (
        FaultProxy(board.address, incidents=incidents) as proxy,
        pytest.raises((DeviceLostError, DeviceSilentError)),
    ):
        _run(subject, tmp_path, proxy, list, patience=0.5)
    board.close()
    assert time.monotonic() - started < 20.0
