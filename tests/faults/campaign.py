"""Fault campaigns: seeded runs over a broken line, each of which must not report anything wrong.

Replay one seed:  python -m tests.faults.campaign --board host --seed 17
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgepack import runner
from edgepack.bench.journal import journal_path
from edgepack.errors import EdgepackError
from edgepack.link.proxy import FaultProxy
from edgepack.report.schema import RunReport, read_run
from tests.faults.boards import Board, Subject
from tests.faults.measure import PATIENT, run_bench
from tests.faults.scenarios import Scenario, make_scenario
from tests.faults.subjects import SUBJECTS

CHECKOUT = Path(__file__).resolve().parents[2]
_SLOWEST_SECONDS = 60.0  # of one run under faults: every wait is bounded
_OVERHEAD = 1.06  # framing
_PROFILES = 7  # most inferences of the layers' figures, two of them in vain on a busy computer
_INFO_BYTES = 400  # greetings, memory, layers


@dataclass(frozen=True)
class Verdict:
    """What became of one seed. `false` lists what was reported and is not so; it must be empty."""

    seed: int
    scenario: str
    outcome: str
    error: str | None
    interruptions: int
    faults: int
    seconds: float
    false: tuple[str, ...]


class Campaign:
    """Runs seeds on one subject; a context manager that ends its processes."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject = subject
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._victim: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Campaign:
        self.board: Board = self.subject.make_board()
        self._stack.callback(self.board.close)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def run(self, seed: int) -> Verdict:
        """One seed: a run under faults, then what `bench --resume` makes of it."""
        out = self._folder / f"seed{seed}"
        out.mkdir(parents=True)
        self.board.ready()
        started = time.monotonic()
        killed: list[int] = []
        scenario = make_scenario(seed, self.board, self._span(), lambda: _kill(killed))
        with FaultProxy(
            self.board.address,
            scenario.rates,
            scenario.rates,
            seed=seed,
            incidents=scenario.incidents,
            holds_host=True,
        ) as proxy:
            error, problems = self._first(scenario, proxy, out, killed)
            faults = proxy.faults + proxy.incidents_met
        for timer in scenario.timers:
            timer.join()
        seconds = time.monotonic() - started
        if seconds > _SLOWEST_SECONDS:
            problems.append(f"the run took {seconds:.0f} s")
        before = self._check(out, problems)
        complete = before is not None and before.status == "complete" and error is None
        if not complete:
            self._resume(out, before, problems)
        interruptions = len(before.interruptions) if before is not None else 0
        if not problems:
            shutil.rmtree(out)
        outcome = "complete" if complete else "resumed"
        return Verdict(
            seed, scenario.name, outcome, error, interruptions, faults, seconds, tuple(problems)
        )

    def _first(
        self, scenario: Scenario, proxy: FaultProxy, out: Path, killed: list[int]
    ) -> tuple[str | None, list[str]]:
        """The run under faults: the kind of its error, and what is wrong with how it ended."""
        if scenario.kills_host:
            self._run_victim(proxy.url, out, killed)
            return ("killed" if killed[1:] else None), []

        def ports() -> list[Any]:
            return [SimpleNamespace(device=proxy.url, vid=1, pid=2, serial_number="S")]

        subject = self.subject
        try:
            with _holder(proxy) if scenario.held else contextlib.nullcontext():
                run_bench(
                    subject.project, subject.samples, out, proxy.url, resume=False, ports=ports
                )
        except EdgepackError as error:
            said = [] if error.next_step else [f"{error.kind} says nothing about what to do next"]
            return error.kind, said
        except Exception as error:
            return type(error).__name__, [f"no error of ours: {error!r}"]
        return None, []

    def _run_victim(self, url: str, out: Path, killed: list[int]) -> None:
        if self._victim is None:
            self._victim = self._stack.enter_context(_victim())
        child = self._victim
        assert child.stdin is not None and child.stdout is not None
        subject = self.subject
        request = {
            "project": str(subject.project),
            "out": str(out),
            "url": url,
            "samples": subject.samples.count,
            "seed": 3 if subject.name == "qemu" else 7,
        }
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
        killed.append(int(child.stdout.readline()))
        assert child.stdout.readline() == b"end\n"

    def _resume(self, out: Path, before: RunReport | None, problems: list[str]) -> None:
        """On a good line `--resume` completes the run."""
        subject = self.subject
        self.board.ready()
        with FaultProxy(self.board.address, holds_host=True) as proxy:
            try:
                run_bench(
                    subject.project, subject.samples, out, proxy.url, resume=True, timing=PATIENT
                )
            except EdgepackError as error:
                problems.append(f"--resume ended with {error}")
                return
            passed = proxy.passed
        after = self._check(out, problems)
        if after is None or after.status != "complete" or after.failure is not None:
            problems.append("--resume did not complete the run")
        if before is not None and before.samples.done and not subject.stateful:
            # nothing is run twice, but for the layers' figures and one sample that confirms them
            again = before.samples.requested - before.samples.done + 1 + _PROFILES
            if passed > self._span(again):
                problems.append(f"--resume passed {passed} bytes for {again} inferences")

    def _span(self, inferences: int | None = None) -> int:
        """Bytes that so many inferences (all samples and the layers') pass, in both directions."""
        subject = self.subject
        each = len(subject.samples.payload(0)) + len(subject.expected[0])
        count = subject.samples.count + 1 if inferences is None else inferences
        return int(_OVERHEAD * count * (each + 60)) + _INFO_BYTES

    def _check(self, out: Path, problems: list[str]) -> RunReport | None:
        """Hold everything that was written against what is known to be right."""
        subject, path = self.subject, out / "run.json"
        if not path.is_file():
            if (out / "outputs.npz").exists():
                problems.append("outputs without a report")
            return None
        report = read_run(path)
        missing = {i for first, end in report.samples.missing for i in range(first, end)}
        done = [i for i in range(subject.samples.count) if i not in missing]
        if (report.status == "complete") != (not missing):
            problems.append(f"status {report.status} with {len(missing)} samples missing")
        for index, outputs in _journal(journal_path(path)).items():
            if outputs != subject.expected[index]:
                problems.append(f"wrong bytes of sample {index} in the journal")
        if (out / "outputs.npz").is_file() and done:
            _check_outputs(out / "outputs.npz", [subject.expected[i] for i in done], problems)
        if subject.exact is not None:
            _check_figures(report, subject.exact, problems)
        return report


def _check_outputs(path: Path, expected: list[bytes], problems: list[str]) -> None:
    with np.load(path) as saved:
        columns = [saved[name] for name in sorted(saved.files)]
    rows = [b"".join(column[i].tobytes() for column in columns) for i in range(len(columns[0]))]
    if rows != expected:
        wrong = sum(a != b for a, b in zip(rows, expected, strict=False))
        problems.append(f"{len(rows)} samples saved, {len(expected)} done, {wrong} wrong")


def _check_figures(
    report: RunReport, exact: tuple[int, int, int, int], problems: list[str]
) -> None:
    ticks, layer, _, arena = exact
    counted = report.device.instructions
    if counted is not None and (counted.min, counted.max) != (ticks, ticks):
        problems.append(f"{counted.min} to {counted.max} instructions instead of {ticks}")
    if any(x.instructions not in (None, layer) for x in report.layers):
        problems.append("wrong instructions of a layer")
    if report.device.arena_peak_bytes not in (None, arena):
        problems.append("wrong arena peak")


def _journal(path: Path) -> dict[int, bytes]:
    """What a journal holds; a last line that was cut short is none."""
    found: dict[int, bytes] = {}
    if not path.is_file():
        return found
    for line in path.read_text(encoding="ascii").splitlines()[1:]:
        with contextlib.suppress(ValueError, KeyError):
            record = json.loads(line)
            found[int(record["i"])] = bytes.fromhex(record["o"])
    return found


def _kill(killed: list[int]) -> None:
    """Kill the host process whose id is first in the list; a second entry says that it was done."""
    if len(killed) == 1:
        killed.append(killed[0])
        with contextlib.suppress(ProcessLookupError):
            os.kill(killed[0], signal.SIGKILL)


@contextlib.contextmanager
def _holder(proxy: FaultProxy) -> Iterator[None]:
    """Another program that has the port open."""
    address = ("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]))
    with socket.create_connection(address):
        deadline = time.monotonic() + 10.0
        while not proxy.in_use:
            assert time.monotonic() < deadline, "the proxy took no connection"
            time.sleep(0.005)
        yield


@contextlib.contextmanager
def _victim() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.faults.victim"]
    with runner.background(command, cwd=CHECKOUT, stdin=True, stderr=subprocess.DEVNULL) as child:
        yield child


def replay(subject: str, seed: int) -> str:
    """The command that repeats a seed."""
    return f"python -m tests.faults.campaign --board {subject} --seed {seed}"


def summary(verdicts: list[Verdict]) -> str:
    """Figures of a campaign in one line."""
    seconds = [v.seconds for v in verdicts]
    outcomes = Counter(v.outcome for v in verdicts)
    return (
        f"{len(verdicts)} runs, {sum(v.faults for v in verdicts)} faults, "
        f"{outcomes['complete']} complete, {outcomes['resumed']} completed by --resume, "
        f"{sum(v.interruptions for v in verdicts)} times found again, "
        f"{sum(bool(v.false) for v in verdicts)} false results; "
        f"median {sorted(seconds)[len(seconds) // 2]:.2f} s, longest {max(seconds):.1f} s"
    )


def main() -> int:
    """Run seeds and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", choices=SUBJECTS, default="host")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=1)
    arguments = parser.parse_args()
    verdicts = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Campaign(SUBJECTS[arguments.board](folder), folder / "runs") as campaign:
            for seed in range(arguments.seed, arguments.seed + arguments.count):
                verdicts.append(campaign.run(seed))
                if arguments.count == 1 or verdicts[-1].false:
                    print(verdicts[-1])
    print(summary(verdicts))
    assert threading.active_count() == 1
    return 1 if any(v.false for v in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
