"""How a phone is asked to measure."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgepack.bench.phone.folder import PARENT
from edgepack.link.adb_program import Adb


@dataclass(frozen=True)
class PhoneSettings:
    """One phone and what to do there.

    adb: the program. serial: the phone, already chosen.
    binary: a benchmark_model: a file of this computer, or `phone:PATH` for one on the phone; None:
        edgepack's own program.
    cpus: edgepack/bench/phone/cores.py. threads: of benchmark_model; edgepack's own has one.
    warmup_ms, min_runs, min_secs, max_secs: the timed part.
    accelerator: of benchmark_model. flags: passed on to it as they are.
    profile: also time each layer or op.
    parent: the folder on the phone in which a folder is made.
    patience: seconds within which a lost phone must be back.
    program_seconds: after which one start of a program is given up.
    """

    adb: Adb
    serial: str
    binary: str | None = None
    cpus: str = "auto"
    threads: int = 1
    warmup_ms: int = 500
    min_runs: int = 50
    min_secs: float = 1.0
    max_secs: float = 10.0
    accelerator: str = "cpu"
    flags: tuple[str, ...] = ()
    profile: bool = True
    parent: str = PARENT
    patience: float = 15.0
    program_seconds: float = 300.0
    kernels: str | None = field(default=None)
