"""Thousands of runs with faults: whatever is reported is right, and --resume completes the rest."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.boards import Subject
from tests.faults.campaign import Campaign, Verdict, replay, summary
from tests.faults.scenarios import KINDS
from tests.faults.subjects import fake_subject, host_subject, qemu_subject, stateful_subject

_FIRST_SLOW_SEED = 1000
_SETTLING_SECONDS = 10.0  # a thread that was told to end gets its turn late on a busy machine
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")


def _run(subject: Subject, folder: Path, first: int, count: int) -> list[Verdict]:
    """Seeds in a row; no process, thread or descriptor may be left behind."""
    before = _held()
    with Campaign(subject, folder / "runs") as campaign:
        verdicts = [campaign.run(seed) for seed in range(first, first + count)]
    until = time.monotonic() + _SETTLING_SECONDS
    while _held() != before and time.monotonic() < until:
        time.sleep(0.1)
    assert _held() == before, threading.enumerate()
    failed = [v for v in verdicts if v.false]
    commands = "\n".join(f"{replay(subject.name, v.seed)}\n    {v}" for v in failed)
    assert not failed, f"{len(failed)} of {count} runs reported something wrong:\n{commands}"
    assert sum(v.faults for v in verdicts) >= count // 2
    return verdicts


def _held() -> tuple[int, int, int]:
    """Descriptors, threads and child processes of this process."""
    children = sum(
        len((task / "children").read_text(encoding="ascii").split())
        for task in Path("/proc/self/task").iterdir()
    )
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), children


@linux
def test_every_kind_of_fault_on_the_fake(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    verdicts = _run(fake_subject(tmp_path), tmp_path, 0, len(KINDS))
    assert {v.scenario for v in verdicts} == set(KINDS)
    outcomes = {v.scenario: v.outcome for v in verdicts}
    assert outcomes["gone for good"] == outcomes["host killed"] == outcomes["hang"] == "resumed"
    assert outcomes["port held"] == "resumed"
    assert outcomes["drop"] == outcomes["split"] == "complete"
    record_property("note", f"faults, fake: {summary(verdicts)}")


@linux
def test_every_kind_of_fault_with_a_model_that_keeps_state(tmp_path: Path) -> None:
    _run(stateful_subject(tmp_path), tmp_path, len(KINDS), len(KINDS))


@linux
@needs_gcc
def test_every_kind_of_fault_on_the_compiled_firmware(tmp_path: Path) -> None:
    _run(host_subject(tmp_path), tmp_path, 2 * len(KINDS), len(KINDS))


def _chunks() -> list[object]:
    sizes = {"fake": (10, 100), "stateful": (3, 100), "host": (7, 100), "qemu": (2, 20)}
    return [
        pytest.param(
            name,
            _FIRST_SLOW_SEED + chunk * size,
            size,
            id=f"{name}-{_FIRST_SLOW_SEED + chunk * size}",
            marks=[pytest.mark.emulator, pytest.mark.needs_oracle]
            if name == "qemu"
            else needs_gcc
            if name == "host"
            else (),
        )
        for name, (chunks, size) in sizes.items()
        for chunk in range(chunks)
    ]


@linux
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "first", "count"), _chunks())
def test_campaign(
    tmp_path: Path,
    name: str,
    first: int,
    count: int,
    record_property: Callable[[str, object], None],
) -> None:
    """2,040 runs altogether."""
    make = {
        "fake": fake_subject,
        "stateful": stateful_subject,
        "host": host_subject,
        "qemu": qemu_subject,
    }[name]
    verdicts = _run(make(tmp_path), tmp_path, first, count)
    record_property("note", f"faults, {name} from seed {first}: {summary(verdicts)}")
