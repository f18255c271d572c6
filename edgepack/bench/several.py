"""Several boards at once: each in a thread of its own, one report each, and one for all.

Devices and emulators run at the same time. What is timed on this computer is not disturbed by them:
host measurements, and boards that are programs of this computer, wait until no other device runs
and then take turns.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgepack import __version__
from edgepack.bench.project import RUN_NAME, BenchRequest, bench
from edgepack.errors import DataError, EdgepackError, UsageError
from edgepack.manifest import read_manifest
from edgepack.models.progress import Progress, silent
from edgepack.report.schema import RunReport, read_run
from edgepack.targets import Kind, load_target

RUNS_NAME = "runs.json"
RUNS_FORMAT = 1
_LOOK_SECONDS = 0.2  # how often whoever waits looks whether to stop


@dataclass(frozen=True)
class BoardRun:
    """What became of one board: a report, an error, or both (a partial run)."""

    request: BenchRequest
    target: str
    report: RunReport | None
    error: EdgepackError | None

    @property
    def label(self) -> str:
        """How tables and progress name it."""
        return label(self.request, self.target)


def label(request: BenchRequest, target: str) -> str:
    """A board's name: its target, and its port or phone where it has one."""
    if request.phone is not None:
        return f"{request.project.name} on {request.phone.serial}"
    return target if request.port is None else f"{target} at {request.port}"


def pair_up(projects: Sequence[Path], ports: Sequence[str]) -> list[tuple[Path, str | None]]:
    """Which project runs at which port.

    One project runs at every port; several projects at one port each, in order; projects without
    ports start their emulators.

    Raises:
        UsageError: the counts do not go together, or a port is named twice.
    """
    if len(set(ports)) != len(ports):
        raise UsageError("a port is named twice: each board has one of its own")
    if not ports:
        return [(project, None) for project in projects]
    if len(projects) == 1:
        return [(projects[0], port) for port in ports]
    if len(projects) == len(ports):
        return list(zip(projects, ports, strict=True))
    raise UsageError(
        f"{len(projects)} projects and {len(ports)} ports do not go together",
        allowed="one project at any number of ports, or one port for each project",
    )


def report_paths(pairs: Sequence[tuple[Path, str | None]]) -> list[Path]:
    """Where each run.json goes: into its project, with the port in its name where two share one."""
    projects = [project.resolve() for project, _ in pairs]
    paths: list[Path] = []
    for index, ((project, port), real) in enumerate(zip(pairs, projects, strict=True)):
        name = RUN_NAME
        if projects.count(real) > 1:
            word = re.sub(r"[^A-Za-z0-9]+", "-", port or str(index)).strip("-")
            name = f"run-{word}.json"
        paths.append(project / name)
    if len(set(paths)) != len(paths):  # ports that differ in punctuation alone
        paths = [path.with_stem(f"{path.stem}-{i}") for i, path in enumerate(paths)]
    return paths


def bench_several(
    requests: Sequence[BenchRequest], progress: Progress = silent
) -> tuple[BoardRun, ...]:
    """Run every request; one that fails does not keep the others from running.

    Raises:
        EdgepackError: a project or target cannot be read: nothing was run.
        KeyboardInterrupt: all runs have been stopped, their reports are written.
    """
    targets = [read_manifest(request.project).target for request in requests]
    timed = [
        request.phone is None and load_target(target).kind is Kind.HOST
        for request, target in zip(requests, targets, strict=True)
    ]
    stop = threading.Event()
    gate = _Gate(timed.count(False), stop)

    def one(index: int) -> BoardRun:
        request, target = requests[index], targets[index]
        ticket = _Ticket(gate, counted=not timed[index])
        named = _titled(progress, label(request, target), stop)
        mine = replace(request, stop=stop, alone=ticket.alone)
        try:
            if timed[index]:
                with ticket.alone():
                    report = bench(replace(mine, alone=contextlib.nullcontext), named)
            else:
                report = bench(mine, named)
            return BoardRun(request, target, report, None)
        except EdgepackError as error:
            return BoardRun(request, target, _left(request), error)
        finally:
            ticket.device_done()

    for request in requests:  # a failure must not show the report of another day
        if not request.resume:
            (request.json_path or request.project / RUN_NAME).unlink(missing_ok=True)
    with ThreadPoolExecutor(max_workers=max(1, len(requests))) as pool:
        futures = [pool.submit(one, index) for index in range(len(requests))]
        try:
            _await(futures)
        except BaseException:
            stop.set()
            raise
    return tuple(future.result() for future in futures)


def runs_document(runs: Sequence[BoardRun]) -> dict[str, Any]:
    """The combined report as JSON data: each run.json whole, with the error that ended it."""
    return {
        "format": RUNS_FORMAT,
        "edgepack_version": __version__,
        "exit_code": exit_code(runs),
        "runs": [
            {
                "project": run.request.project.as_posix(),
                "port": run.request.port,
                "phone": None if run.request.phone is None else run.request.phone.serial,
                "target": run.target,
                "error": None if run.error is None else run.error.as_dict(),
                "run": None if run.report is None else run.report.model_dump(mode="json"),
            }
            for run in runs
        ],
    }


def write_runs(path: Path, document: Mapping[str, Any]) -> None:
    """Write the combined report, which `runs_document` made.

    Raises:
        DataError: the file cannot be written.
    """
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def exit_code(runs: Sequence[BoardRun]) -> int:
    """0 when all went well, else that of the first board that failed."""
    return next((run.error.exit_code for run in runs if run.error is not None), 0)


class _Gate:
    """Counts the devices that still run, and lets one thread at a time measure when none does."""

    def __init__(self, devices: int, stop: threading.Event) -> None:
        self._running = devices
        self._stop = stop
        self._changed = threading.Condition()
        self._busy = False

    def device_done(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            while self._running or self._busy:
                if self._stop.is_set():
                    raise KeyboardInterrupt
                self._changed.wait(_LOOK_SECONDS)
            self._busy = True
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()


class _Ticket:
    """One run's place at the gate; it reports its device as done once."""

    def __init__(self, gate: _Gate, *, counted: bool) -> None:
        self._gate = gate
        self._runs = counted

    def device_done(self) -> None:
        if self._runs:
            self._runs = False
            self._gate.device_done()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        self.device_done()
        with self._gate.alone():
            yield


def _await(futures: Sequence[Future[BoardRun]]) -> None:
    """Until all are done; in slices, so that the main thread hears Ctrl-C."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, _LOOK_SECONDS, FIRST_EXCEPTION)
        for future in done:
            future.result()


def _titled(progress: Progress, name: str, stop: threading.Event) -> Progress:
    def titled(stage: str, fraction: float | None, message: str) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        progress(f"{name}: {stage}", fraction, message)

    return titled


def _left(request: BenchRequest) -> RunReport | None:
    """The report that a failed run left, if it left one."""
    path = request.json_path or request.project / RUN_NAME
    return read_run(path) if path.is_file() else None
