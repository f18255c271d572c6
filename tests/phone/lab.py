"""What the tests of phones share: an adb server with its phones, and a short run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepack.bench.phone.settings import PhoneSettings
from edgepack.bench.project import BenchRequest
from edgepack.link.adb_program import Adb, AdbTiming, find_adb
from tests.phone.adb_server import AdbServer
from tests.phone.device import Phone

REAL = {"ro.boot.qemu": "0"}  # a phone that does not say it is emulated, so that times are shown
Command = Callable[..., str]
SHORT = ("--min-secs", "0", "--min-runs", "3", "--warmup-ms", "0", "--no-host", "--cpus", "all")
FAST = AdbTiming(quick=6.0, connect=4.0, transfer=6.0)


@dataclass
class Lab:
    """An adb server and its phones."""

    server: AdbServer
    folder: Path
    phones: list[Phone]

    def phone(self, **options: Any) -> Phone:
        made = Phone(self.folder / f"phone{len(self.phones)}", **options)
        self.phones.append(made)
        return made

    def adb(self, timing: AdbTiming = FAST) -> Adb:
        return find_adb(self.server.env, timing, self.server.program)

    def connected(self, phone: Phone) -> Adb:
        adb = self.adb()
        adb.connect(phone.address, FAST.connect)
        return adb


@contextmanager
def running_lab(folder: Path, program: str | None = None) -> Iterator[Lab]:
    """An adb server that answers; it and its phones are gone afterwards."""
    made = Lab(AdbServer(folder / "adb", program), folder, [])
    deadline = time.monotonic() + 10
    try:
        while made.adb()._server_version() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        yield made
    finally:
        for phone in made.phones:
            phone.stop()
        made.server.stop()


def request_for(project: Path, adb: Adb, phone: Phone, path: Path, **changes: Any) -> BenchRequest:
    """A short run of a project on a phone."""
    settings = PhoneSettings(
        adb,
        phone.address,
        warmup_ms=0,
        min_runs=3,
        min_secs=0.0,
        max_secs=1.0,
        patience=changes.pop("patience", 4.0),
        program_seconds=changes.pop("program_seconds", 8.0),
        **changes.pop("settings", {}),
    )
    return BenchRequest(
        project, samples=4, host=False, json_path=path / "run.json", phone=settings, **changes
    )
